package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/dispatch"
	"github.com/glassq/glassq/internal/plain"
	"github.com/glassq/glassq/internal/wal"
)

// Exit codes. 130 is for a second Ctrl-C.
const (
	exitFine        = 0
	exitUnexpected  = 1
	exitUsage       = 2
	exitThreshold   = 3 // a --fail-if rule is broken
	exitNotWell     = 4 // not one task went well, or with --strict not every one
	exitUnbalanced  = 5
	exitServer      = 6 // unreachable, or refuses
	exitInterrupted = 7 // and drained; or nobody reads the output any more
	exitStorage     = 8 // failed or damaged
	exitLeft        = 130
)

// An exitError ends the program with a code of its own; without err it says nothing more.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exit is the end with a code, and nothing more to say.
func exit(code int) error {
	if code == exitFine {
		return nil
	}
	return &exitError{code: code}
}

// wentWell is how a program ends that has seen the end of a run: with an error when tasks of it
// failed or are dead, all of them, or any with strict; a run that was retried counts with its
// retries. A run that is not complete yet may still go well.
func wentWell(run *glassq.Run, strict bool) error {
	b := run.Books
	put, ok, bad, pending := b.Put, b.OK, b.Failed+b.Dead.Sum(), b.Pending()
	if j := run.Job; j != nil {
		put, ok, bad, pending = j.Put, j.OK, j.Failed+j.Dead, j.Pending
	}
	switch {
	case bad > 0 && run.Complete && pending == 0 && ok == 0:
		return &exitError{exitNotWell, fmt.Errorf("not one of %s went well", plain.Plural(bad, "task", "tasks"))}
	case bad > 0 && strict:
		return &exitError{exitNotWell, fmt.Errorf("--strict: %s of %s failed or dead", plain.Comma(bad),
			plain.Plural(put, "task", "tasks"))}
	}
	return nil
}

func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// errInterrupted is the cause that ends a command's context.
var errInterrupted = errors.New("interrupted")

func isInterrupted(err error) bool {
	return errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled)
}

// outputClosed tells whether err is that nobody reads standard output any more, as behind | head.
func outputClosed(err error) bool {
	e, ok := errors.AsType[*fs.PathError](err)
	return ok && e.Path == os.Stdout.Name() && errors.Is(e.Err, syscall.EPIPE)
}

// exitCode says with which code an error ends the program.
func exitCode(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if isInterrupted(err) || outputClosed(err) {
		return exitInterrupted
	}
	if errors.Is(err, wal.ErrFailed) { // whatever it met: a folder that is gone, a segment that cannot be made
		return exitStorage
	}
	_, template := errors.AsType[*dispatch.TemplateError](err)
	_, line := errors.AsType[*dispatch.LineError](err)
	_, refused := errors.AsType[*dispatch.RefusedError](err)
	if template || line || refused || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, syscall.ENOTDIR) {
		return exitUsage
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO) {
		return exitStorage
	}
	switch glassq.CodeOf(err) {
	case glassq.CodeBadRequest, glassq.CodeBadName, glassq.CodeTooLarge, glassq.CodeRunConflict:
		return exitUsage
	case glassq.CodeUnavailable, glassq.CodeUnknown, glassq.CodeClosed, glassq.CodeUnauthorized, glassq.CodeForbidden:
		return exitServer
	case glassq.CodeStorage, glassq.CodeStorageFull, glassq.CodeDamaged:
		return exitStorage
	}
	return exitUnexpected
}

// sentence is what the program says about an error that ends it.
func sentence(err error) string {
	if isInterrupted(err) {
		return "interrupted"
	}
	if outputClosed(err) {
		return "whoever read the output has closed it"
	}
	text := err.Error()
	if e, ok := errors.AsType[*dispatch.LineError](err); ok && e.Name != "" {
		text += "; mend it, or pass over such lines with --skip-bad"
	}
	if _, ok := errors.AsType[*dispatch.RefusedError](err); ok {
		text += "; mend it, or pass over such tasks with --skip-bad"
	}
	return text
}
