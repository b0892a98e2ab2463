package ladder

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/glassq/glassq/internal/history"
)

var cuts = flag.Int("cuts", 3, "times that TestPower and TestClusterPower cut the power")

const diskSize = 512 << 20

// A volume is an ext4 file system in an image file.
type volume struct{ image, dir, options string }

// newVolume makes a file system of size bytes, or skips the test where that is not possible.
func newVolume(t *testing.T, size int64, options string) *volume {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("left out: root only (it mounts an image); run make power as root")
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: apt-get install e2fsprogs mount", tool)
		}
	}
	v := &volume{image: filepath.Join(t.TempDir(), "disk.img"), dir: filepath.Join(t.TempDir(), "mnt"), options: options}
	f, err := os.Create(v.image)
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Close(), os.Mkdir(v.dir, 0o700))
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0",
		v.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	if err := v.mount(); err != nil {
		t.Skipf("needs loop devices: %v", err)
	}
	t.Cleanup(func() { v.umount() })
	return v
}

func (v *volume) mount() error {
	if out, err := exec.Command("mount", "-o", "loop,"+v.options, v.image, v.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	return nil
}

func (v *volume) umount() error {
	var out []byte
	var err error
	for range 100 { // a process that was killed may hold it for a moment
		if out, err = exec.Command("umount", v.dir).CombinedOutput(); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("umount: %w: %s", err, out)
}

// The request by which a file system goes down, as testers of ext4 and XFS use it: from then on
// every call fails, and what lies in memory, the journal too, never reaches the disk.
const (
	goingDown  = 0x8004587d // _IOR('X', 125, __u32)
	noLogFlush = 2
)

// cut cuts the power.
func (v *volume) cut() error {
	d, err := os.Open(v.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	how := uint32(noLogFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.Fd(), goingDown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		return fmt.Errorf("going down: %w", errno)
	}
	return nil
}

// cycle lets a crowd besiege the server for a while, cuts the power, and starts the server anew on
// what the disk has kept.
func (v *volume) cycle(s *server, x *siege, rng *rand.Rand, length time.Duration) error {
	stop := x.crowd(rng.Uint64(), 8, 9, 2000)
	time.Sleep(length)
	at := x.now()
	err := v.cut()
	s.kill()
	x.note(history.Op{Kind: history.Crash, Start: at, End: x.now()})
	stop()
	x.unheard(at)
	if err := errors.Join(err, v.umount(), v.mount()); err != nil {
		return err
	}
	return s.start()
}

// TestPower cuts the power of a real file system under a real server, again and again. First the
// same with --sync never, which must lose something: a test that cannot see a loss shows nothing.
func TestPower(t *testing.T) {
	binary := build(t)
	rng := rand.New(rand.NewPCG(*seed, 5))
	t.Logf("-seed %d", *seed)
	control := 0
	t.Run("control", func(t *testing.T) {
		v := newVolume(t, diskSize, "commit=300")
		s := newServer(t, binary, filepath.Join(v.dir, "data"), "--sync", "never")
		if err := s.start(); err != nil {
			t.Fatal(err)
		}
		x := newSiege(t, s.addr)
		for range 3 {
			err := v.cycle(s, x, rng, 300*time.Millisecond)
			if err != nil {
				t.Logf("with --sync never: %v", err)
				control++ // what was answered is not there
				break
			}
			if err := x.drain(); err != nil {
				t.Fatal(err)
			}
			r := x.judge()
			t.Logf("with --sync never: %v", r)
			control += r.Faults()
		}
		if control == 0 {
			t.Error("three power cuts with --sync never lost nothing: the test is blind")
		}
	})
	var total sums
	start := time.Now()
	done := 0
	for i, options := range []string{"commit=300", "data=writeback,commit=300", "commit=1"} {
		t.Run(options, func(t *testing.T) {
			n := *cuts / 3
			if i < *cuts%3 {
				n++
			}
			v := newVolume(t, diskSize, options)
			s := newServer(t, binary, filepath.Join(v.dir, "a", "data"))
			if err := s.start(); err != nil {
				t.Fatal(err)
			}
			x := newSiege(t, s.addr)
			for k := range n {
				u := rng.Float64()
				if err := v.cycle(s, x, rng, 20*time.Millisecond+time.Duration(u*u*float64(time.Second))); err != nil {
					t.Fatalf("cut %d: %v", k, err)
				}
				done++
				if k%10 < 9 && k < n-1 {
					continue
				}
				if err := x.drain(); err != nil {
					t.Fatal(err)
				}
				r := x.judge()
				total.add(r)
				if r.Faults() > 0 {
					t.Errorf("cut %d: %v", k, r)
				}
			}
		})
	}
	if done > 0 {
		stdout("rung=power cuts=%d control_faults=%d %v seed=%d seconds=%.0f failed=%v", done, control, &total, *seed,
			time.Since(start).Seconds(), t.Failed())
	}
}
