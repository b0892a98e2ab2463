package process

import (
	"os"
	"sync"
	"time"

	"github.com/glassq/glassq"
)

// smallBody is what a pipe takes without anybody reading.
const smallBody = 4 << 10

// pipes are a process's standard streams, at this end.
type pipes struct {
	out, err *os.File
	in       *os.File // nil, or being written to
	wg       sync.WaitGroup
}

// start starts the process and what reads its output.
func (h *execHandler) start(l *glassq.Lease) (*os.Process, *pipes, error) {
	ps := &pipes{}
	stdin := h.e.null
	theirs := make([]*os.File, 0, 3) // ends that the child has
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	fail := func(err error) (*os.Process, *pipes, error) {
		for _, f := range []*os.File{ps.in, ps.out, ps.err} {
			if f != nil {
				f.Close()
			}
		}
		return nil, nil, err
	}
	if n := len(l.Body); len(h.e.holes) == 0 && n > 0 {
		var err error
		if n <= smallBody {
			stdin, err = filledPipe(l.Body)
		} else {
			stdin, ps.in, err = os.Pipe()
		}
		if err != nil {
			return fail(err)
		}
		theirs = append(theirs, stdin)
	}
	out, outW, err := outPipe()
	if err != nil {
		return fail(err)
	}
	ps.out, theirs = out, append(theirs, outW)
	errs, errsW, err := outPipe()
	if err != nil {
		return fail(err)
	}
	ps.err, theirs = errs, append(theirs, errsW)
	p, err := os.StartProcess(h.e.path, h.argv, &os.ProcAttr{Env: h.env, Files: []*os.File{stdin, outW, errsW},
		Sys: ownGroup()})
	if err != nil {
		return fail(err)
	}
	if ps.in != nil {
		ps.wg.Go(func() {
			ps.in.Write(l.Body) // a command need not read it all
			ps.in.Close()
		})
	}
	ps.wg.Go(func() { h.out.read(ps.out) })
	ps.wg.Go(func() { h.err.read(ps.err) })
	return p, ps, nil
}

// finish waits for the rest of the output, but until limit only for what others hold open, and closes all.
func (ps *pipes) finish(limit time.Time) {
	ps.out.SetReadDeadline(limit) // os.Pipe has deadlines where there is a poller; elsewhere it waits
	ps.err.SetReadDeadline(limit)
	if ps.in != nil {
		ps.in.SetWriteDeadline(limit)
	}
	ps.wg.Wait()
	ps.out.Close()
	ps.err.Close()
}
