package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"

	"github.com/glassq/glassq/internal/lack"
	"github.com/glassq/glassq/result"
)

var (
	errTooLarge = errors.New("the answer is larger than --max-answer")
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
	return answer{err: class, msg: message(err, class), unsent: connecting, final: isFinal(err), lack: lackOf(err)}
}

// lackOf names what the worker itself lacks when that is why err came, else "".
func lackOf(err error) string {
	if what := lack.Of(err); what != "" {
		return what
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && strings.HasSuffix(e.Err, syscall.EMFILE.Error()) {
		return "open files" // the resolver keeps the text alone
	}
	e, ok := errors.AsType[*net.OpError](err)
	if !ok || e.Addr == nil || !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.EADDRINUSE) {
		return ""
	}
	// Either there is no port left, or no way from here to such an address, as where IPv6 is off.
	// Sockets of UDP have ports of their own, so one of them finds out.
	c, err := net.Dial("udp", e.Addr.String())
	if err != nil {
		return ""
	}
	c.Close()
	return "local ports"
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
		case syscall.ENOENT: // of a path, where no socket is
			if connecting {
				return result.ClassRefused
			}
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
	case unprocessed(err):
		return result.ClassRefused
	case errors.Is(err, errTooLarge), errors.Is(err, errHeader), isHeaderLimit(text):
		return result.ClassTooLarge
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text,
		"server closed idle connection"),
		strings.HasSuffix(text, "EOF"), strings.Contains(text, "unexpected EOF"),
		strings.Contains(text, "ErrCode=NO_ERROR"), strings.Contains(text, "http2: client conn"): // HTTP/2, the server went
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
	return strings.Contains(text, "server response headers exceeded") ||
		strings.Contains(text, "response header list larger than")
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

// http2IDs are numbers that differ from one request to the next.
var http2IDs = regexp.MustCompile(`stream ID \d+; |LastStreamID=\d+, `)

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
	if errors.Is(err, syscall.ENOENT) && class == result.ClassRefused {
		return "there is no socket at the path of --unix-socket"
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case e.IsNotFound && e.Name == "unix":
			return "lookup unix: no such host; --unix-socket PATH connects to a socket of this machine"
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
	if _, inner, ok := strings.Cut(text, "cannot retry err ["); ok { // of HTTP/2; what follows is for programmers
		text, _, _ = strings.Cut(inner, "] after Request.Body")
	}
	if text = http2IDs.ReplaceAllString(text, ""); unprocessed(err) {
		text = "not processed by the server: " + text
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
