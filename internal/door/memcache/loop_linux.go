package memcache

import (
	"os"
	"runtime"
	"syscall"

	"github.com/glassq/glassq/internal/door"
)

// A poll waits for input of many connections, by an epoll instance that itself waits in the
// runtime's.
type poll struct {
	fd     int
	file   *os.File
	raw    syscall.RawConn
	look   func(fd uintptr) bool // sees what there is, for raw
	events [64]syscall.EpollEvent
	n      int // events seen by look
	err    error
}

// loops is how many loops a server has.
func loops() int { return min(runtime.GOMAXPROCS(0), 4) }

func newPoll() (*poll, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poll{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	p.look = func(uintptr) bool {
		p.n, p.err = syscall.EpollWait(p.fd, p.events[:], 0)
		if p.err == syscall.EINTR {
			p.n, p.err = 0, nil
			return false
		}
		return p.n != 0
	}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, err
	}
	if err := p.file.SetReadDeadline(noDeadline); err != nil {
		p.file.Close() // the runtime cannot wait for it
		return nil, err
	}
	return p, nil
}

// wait returns the descriptors that have input, or an error after wake or close.
func (p *poll) wait(to []int32) ([]int32, error) {
	if err := p.raw.Read(p.look); err != nil {
		return nil, err
	}
	return p.seen(to)
}

// more returns the descriptors that have input now.
func (p *poll) more(to []int32) ([]int32, error) {
	p.look(0)
	return p.seen(to)
}

func (p *poll) seen(to []int32) ([]int32, error) {
	if p.err != nil {
		return nil, os.NewSyscallError("epoll_wait", p.err)
	}
	for _, e := range p.events[:p.n] {
		to = append(to, e.Fd)
	}
	return to, nil
}

func (p *poll) add(fd int32) error {
	e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: fd}
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, int(fd), &e)
}

func (p *poll) remove(fd int32) {
	var e syscall.EpollEvent
	syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_DEL, int(fd), &e)
}

// wake ends wait for good.
func (p *poll) wake() { p.file.SetReadDeadline(door.LongAgo) }

func (p *poll) close() { p.file.Close() }
