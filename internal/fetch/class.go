package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/glassq/glassq/result"
)

var (
	errTooLarge = errors.New("the answer is larger than the limit")
	errHeader   = errors.New("the header of the answer is larger than 256 KiB")
)

// A handshakeError is an error of a TLS handshake.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// failure names err: its class, and a text that is the same each time. connecting means that there
// was no connection yet.
func failure(err error, connecting bool) answer {
	class := classOf(err, connecting)
	return answer{err: class, msg: message(err, class), unsent: connecting, final: isFinal(err)}
}

// isFinal knows failures that do not pass: a rule of the worker's, a name that does not exist, a
// certificate that is not good, an answer that is too large.
func isFinal(err error) bool {
	if _, ok := errors.AsType[*blockedError](err); ok {
		return true
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e.IsNotFound
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	return errors.Is(err, errTooLarge) || errors.Is(err, errHeader) || isHeaderLimit(err.Error())
}

func classOf(err error, connecting bool) string {
	if _, ok := errors.AsType[*blockedError](err); ok {
		return result.ClassBlocked
	}
	if isTimeout(err) {
		if _, ok := errors.AsType[*net.DNSError](err); ok {
			return result.ClassDNS
		}
		if connecting {
			return result.ClassConnectTimeout
		}
		return result.ClassTimeout
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return result.ClassDNS
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		switch errno {
		case syscall.ECONNREFUSED:
			return result.ClassRefused
		case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED:
			return result.ClassReset
		case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EADDRNOTAVAIL, syscall.ENETDOWN, syscall.EHOSTDOWN:
			return result.ClassUnreachable
		}
		return result.ClassInternal
	}
	if isTLS(err) {
		return result.ClassTLS
	}
	text := err.Error()
	switch {
	case errors.Is(err, context.Canceled):
		return result.ClassCancelled
	case errors.Is(err, errTooLarge), errors.Is(err, errHeader), isHeaderLimit(text):
		return result.ClassTooLarge
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text, "server closed idle connection"),
		strings.HasSuffix(text, "EOF"), strings.Contains(text, "unexpected EOF"):
		return result.ClassEOF
	}
	if _, ok := errors.AsType[*handshakeError](err); ok {
		return result.ClassTLS
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return result.ClassInternal
	}
	return result.ClassProtocol
}

// isHeaderLimit knows what net/http says of a header that is too large, in HTTP/1.1 and HTTP/2.
func isHeaderLimit(text string) bool {
	return strings.Contains(text, "server response headers exceeded") || strings.Contains(text, "response header list larger than")
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	text := err.Error()
	return strings.HasPrefix(text, "tls: ") || strings.Contains(text, "remote error: tls: ") ||
		strings.Contains(text, "server gave HTTP response to HTTPS client")
}

// message is err's text without addresses that differ from one connection to the next.
func message(err error, class string) string {
	switch class {
	case result.ClassTimeout:
		return "no whole answer in time"
	case result.ClassConnectTimeout:
		return "no connection in time"
	case result.ClassEOF:
		return "the connection ended before the answer did"
	case result.ClassTooLarge:
		if errors.Is(err, errTooLarge) {
			return errTooLarge.Error()
		}
		return errHeader.Error()
	}
	if e, ok := errors.AsType[*blockedError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case e.IsNotFound:
			return "lookup " + e.Name + ": no such host"
		case e.IsTimeout:
			return "lookup " + e.Name + ": no answer in time"
		}
		return "lookup " + e.Name + ": no usable answer"
	}
	text := err.Error()
	if e, ok := errors.AsType[*net.OpError](err); ok {
		text = e.Op + ": " + e.Err.Error()
	}
	if strings.Contains(text, "->") {
		text = class
	}
	const most = 300
	if len(text) > most {
		text = text[:most]
	}
	return text
}
