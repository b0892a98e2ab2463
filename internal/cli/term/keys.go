package term

import (
	"bufio"
	"io"
	"os"

	"github.com/glassq/glassq/internal/plain"
	"golang.org/x/term"
)

// A Key is one that was pressed: a letter or sign as itself, or one of these.
type Key rune

const (
	KeyUp Key = -1 - iota
	KeyDown
	KeyPageUp
	KeyPageDown
	KeyTab   Key = '\t'
	KeyCtrlC Key = 3
)

// Keys has f, a terminal, hand over each key as it is pressed, without showing it: Ctrl-C is a key
// too. Until restore is called, which the caller must do, a line that is written has to end with
// "\r\n". The reading goes on until f or the program ends, since nothing ends a read of a terminal.
func Keys(f *os.File) (keys <-chan Key, restore func(), err error) {
	before, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, nil, err
	}
	pressed := make(chan Key)
	go func() {
		defer close(pressed)
		in := bufio.NewReader(f)
		for {
			key, err := readKey(in)
			if err != nil {
				return
			}
			if key != 0 {
				pressed <- key
			}
		}
	}()
	return pressed, func() { term.Restore(int(f.Fd()), before) }, nil
}

// readKey reads one key; 0 is one that has no name here.
func readKey(in *bufio.Reader) (Key, error) {
	const escape = 0x1b
	r, _, err := in.ReadRune()
	if err != nil || r != escape || in.Buffered() == 0 { // a terminal sends what a key makes at once
		return Key(max(r, 0)), err
	}
	if b, err := in.ReadByte(); err != nil || b != '[' && b != 'O' {
		in.UnreadByte()
		return 0, err
	}
	var seq []byte
	for len(seq) < 16 {
		b, err := in.ReadByte()
		if err != nil {
			return 0, err
		}
		if seq = append(seq, b); b >= 0x40 && b <= 0x7e {
			break
		}
	}
	switch string(seq) {
	case "A":
		return KeyUp, nil
	case "B":
		return KeyDown, nil
	case "5~":
		return KeyPageUp, nil
	case "6~":
		return KeyPageDown, nil
	}
	return 0, nil
}

// A Screen is a table in place on a terminal, in the place of the one before.
type Screen struct{ s screen }

// NewScreen draws on w, a terminal.
func NewScreen(w io.Writer) *Screen { return &Screen{newScreen(w)} }

// Size is that of the terminal.
func (s *Screen) Size() (width, height int) {
	width, height, _ = s.s.GetTermSize()
	return width, height
}

// Draw puts lines as plain text in the place of those before. They end with "\r\n", for a terminal
// whose Keys are read.
func (s *Screen) Draw(lines []string) error {
	for _, line := range lines {
		s.s.WriteString(plain.Text([]byte(line)) + "\r\n") // a bytes.Buffer takes all
	}
	return s.s.Flush(len(lines))
}
