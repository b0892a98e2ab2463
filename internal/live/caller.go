package live

import "context"

// MaxNames bounds the name and the version of a caller, in bytes; what is longer is cut.
const MaxNames = 100

// A Caller is who makes a call, as its door knows it. The zero value is this program itself.
type Caller struct {
	Door    string // http, memcached or manager; "" is the program itself
	Worker  string // how the client calls itself, else its address; "" is nobody in particular
	Version string // of the client's program; "" is not known
}

type callerKey struct{}

// WithCaller returns ctx with who calls. A door calls it once a request or once a connection.
func WithCaller(ctx context.Context, c Caller) context.Context {
	c.Worker, c.Version = c.Worker[:min(len(c.Worker), MaxNames)], c.Version[:min(len(c.Version), MaxNames)]
	return context.WithValue(ctx, callerKey{}, &c)
}

var nobody Caller

func callerOf(ctx context.Context) *Caller {
	if c, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return c
	}
	return &nobody
}
