// Package jetstream is the ground of internal/cluster on a NATS cluster with JetStream: the log is
// one stream, the bus is core NATS, hints are a key-value bucket, and checkpoints lie in an object
// bucket.
//
// The package knows NATS and the four interfaces of internal/cluster. It does not know tasks,
// records and owners, and it decides nothing about them. Whether what a stream has confirmed
// outlives a power cut of all its servers is in their configuration: see [Examine].
package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cluster"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

const (
	tryFor    = 2 * time.Second        // one request
	tries     = 3                      // of a request that nobody answers
	tryPause  = 100 * time.Millisecond // between two tries, and while something is waited for
	sayEvery  = 10 * time.Second       // between two lines about what is waited for
	goneFor   = 10 * time.Second       // that servers say of a stream that it is not there, until it is believed
	pingEvery = 2 * time.Second        // a connection of which two pings are not answered is made anew
	headers   = 4 << 10                // bytes of a message that are not its body, at most
	mostBody  = 640 << 10              // bytes of one message of the log; a frame is cut at 512 KiB
	leastBody = 64 << 10               // what the cluster must carry
)

// Options tunes Open. The zero value is ready for production.
type Options struct {
	// Monitors are the URLs of the monitoring ports of all servers, such as http://host:8222, by
	// which Open learns how they sync before it makes a store, and the log how much room they have.
	Monitors []string
	// AcceptLazySync has a store made though the servers do not sync what they confirm, or nobody
	// knows whether they do.
	AcceptLazySync bool
	Logger         *slog.Logger // nil discards
}

// A Ground is a connection to the servers of one store. Safe for concurrent use.
type Ground struct {
	at     Location
	opt    Options
	nc     *nats.Conn
	most   int                    // bytes of one message, as of the first connection
	denied atomic.Pointer[string] // what the servers refused last for lack of rights
	log    *log
	hinted absence // of the bucket of hints
	room   *serverRoom
}

// Open connects to the servers of a store and makes what the store needs where there is nothing. It
// waits, with a line now and then, for servers that are not there and for those that are too few.
// The caller must Close the Ground.
//
// Errors: bad_request for what only a person can change, such as a stream that others have made;
// unauthorized and forbidden for credentials and rights; damaged where a part of a store is left;
// or that of ctx.
func Open(ctx context.Context, at Location, opt Options) (*Ground, error) {
	opt = opt.withDefaults()
	var said time.Time
	for {
		g, err := connect(at, opt)
		if err == nil {
			if err = g.setUp(ctx); err == nil {
				return g, nil
			}
			err = g.orDenied(err)
			g.Close()
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if final(err) {
			return nil, err
		}
		if time.Since(said) >= sayEvery {
			said = time.Now()
			opt.Logger.Warn("the store on NATS is not there yet, it is tried again", "store", at.String(), "err", err)
		}
		select {
		case <-time.After(5 * tryPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (opt Options) withDefaults() Options {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return opt
}

// final tells whether waiting is of no use.
func final(err error) bool {
	switch glassq.CodeOf(err) {
	case glassq.CodeBadRequest, glassq.CodeUnauthorized, glassq.CodeForbidden, glassq.CodeDamaged:
		return true
	}
	return false
}

// connect connects to one of the servers.
func connect(at Location, opt Options) (*Ground, error) {
	for _, file := range []string{at.Creds, at.CA, at.Cert, at.Key} {
		if _, err := os.Stat(file); file != "" && err != nil {
			return nil, glassq.Errorf(glassq.CodeBadRequest, "the URL of the store names a file that cannot be read: %w", err)
		}
	}
	g := &Ground{at: at, opt: opt}
	set := []nats.Option{
		nats.Name("glassq " + at.Name),
		nats.MaxReconnects(-1), nats.ReconnectWait(2 * tryPause), nats.ReconnectJitter(tryPause, tryPause),
		nats.ReconnectBufSize(-1), // what could not be sent is not sent later
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2), nats.Timeout(tryFor), nats.FlusherTimeout(tryFor),
		nats.ErrorHandler(g.trouble),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				opt.Logger.Warn("the connection to NATS broke, it is made anew", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			opt.Logger.Info("connected to NATS again", "server", nc.ConnectedServerName())
			if most := int(nc.MaxPayload()) - headers; most < g.most {
				opt.Logger.Error("a server of NATS has a max_payload below that of another one: messages that it refuses wait; give all the same",
					"server", nc.ConnectedServerName(), "max_payload", nc.MaxPayload(), "needed", g.most+headers)
			}
		}),
	}
	if at.Creds != "" {
		set = append(set, nats.UserCredentials(at.Creds))
	}
	if at.CA != "" {
		set = append(set, nats.RootCAs(at.CA))
	}
	if at.Cert != "" {
		set = append(set, nats.ClientCert(at.Cert, at.Key))
	}
	nc, err := nats.Connect(strings.Join(at.Servers, ","), set...)
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return nil, glassq.Errorf(glassq.CodeUnauthorized,
			"the servers of %s refuse the user: give one in the URL, as nats://USER:PASSWORD@…, or a file of credentials with ?creds=FILE (%w)", at, err)
	case errors.Is(err, nats.ErrNoServers):
		return nil, glassq.Errorf(glassq.CodeUnavailable, "no server of %s answers", at)
	case err != nil:
		return nil, glassq.Errorf(glassq.CodeUnavailable, "connect to %s: %w", at, err)
	}
	g.nc, g.most, g.room = nc, min(mostBody, int(nc.MaxPayload())-headers), newServerRoom(opt.Monitors)
	return g, nil
}

// trouble hears what the servers refuse, and what got lost, outside of any call.
func (g *Ground) trouble(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		text := err.Error()
		g.denied.Store(&text)
	}
	about := ""
	if sub != nil {
		about = sub.Subject
	}
	g.opt.Logger.Warn("NATS refuses or lost something", "err", err, "subscription", about)
}

// orDenied is err, or what the servers refused meanwhile: they tell it beside the call, which then
// finds no answer.
func (g *Ground) orDenied(err error) error {
	if text := g.denied.Load(); text != nil && err != nil {
		return glassq.Errorf(glassq.CodeForbidden, "the user of %s lacks a right: %s; docs/cluster.md lists what a gateway needs",
			g.at, *text)
	}
	return err
}

// An absence is how long the servers have said of a stream that it is not there.
type absence struct {
	mu     sync.Mutex
	missed time.Time // since when; zero: they do not
	last   time.Time // when they said so last
}

// seen turns the answer that there is no such stream into ErrGone, once it was given for a while: a
// server that has just started and leads says so of streams which it has not read yet.
func (a *absence) seen(stream string, err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch now := time.Now(); {
	case err == nil || errors.Is(err, cluster.ErrNoMessage):
		a.missed = time.Time{}
	case !coded(err, natsjs.JSErrCodeStreamNotFound):
	case a.missed.IsZero() || now.Sub(a.last) > goneFor/2:
		a.missed, a.last = now, now
	default:
		if a.last = now; now.Sub(a.missed) >= goneFor {
			return fmt.Errorf("stream %s: %w", stream, cluster.ErrGone)
		}
	}
	return err
}

// Close ends the connection. What is under way fails.
func (g *Ground) Close() {
	g.nc.Close()
	g.room.close()
}

// Ground is what a cluster.Store stands on.
func (g *Ground) Ground() cluster.Ground {
	return cluster.Ground{Log: g.log, Bus: (*bus)(g), Hints: (*hints)(g), Bucket: (*bucket)(g)}
}

// An answered error came from a server.
type answered struct {
	*natsjs.APIError
}

func (e answered) Unwrap() error { return e.APIError }

func (e answered) Error() string { return e.Description }

// coded tells whether a server answered with one of some codes.
func coded(err error, codes ...natsjs.ErrorCode) bool {
	a, ok := errors.AsType[answered](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if a.ErrorCode == c {
			return true
		}
	}
	return false
}

// Codes of the servers that the client library has no names for.
const (
	errAccountFull  natsjs.ErrorCode = 10002
	errNoPeers      natsjs.ErrorCode = 10005
	errNoLeader     natsjs.ErrorCode = 10008
	errInsufficient natsjs.ErrorCode = 10023
	errStorageFull  natsjs.ErrorCode = 10047
	errNoCluster    natsjs.ErrorCode = 10074
	errStoreFailed  natsjs.ErrorCode = 10077
)

// api asks the servers, as often as it takes within some tries, since an election answers nothing.
// A nil resp drops the answer. It is for requests that may be made twice.
func (g *Ground) api(ctx context.Context, subject string, req, resp any) error {
	for try := 1; ; try++ {
		err := g.once(ctx, "$JS.API."+subject, req, resp)
		_, told := errors.AsType[answered](err)
		if err == nil || told && !coded(err, errNoLeader) || ctx.Err() != nil || try == tries || g.denied.Load() != nil {
			return err
		}
		select {
		case <-time.After(tryPause):
		case <-ctx.Done():
			return err
		}
	}
}

func (g *Ground) once(ctx context.Context, subject string, req, resp any) error {
	var body []byte
	if req != nil {
		var err error
		if body, err = json.Marshal(req); err != nil {
			return err
		}
	}
	msg, err := g.ask(ctx, subject, body)
	if err != nil {
		return err
	}
	return readAnswer(msg.Data, resp)
}

// ask waits for an answer for tryFor at most: there may be a server that does not give one.
func (g *Ground) ask(ctx context.Context, subject string, body []byte) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	msg, err := g.nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", subject, err)
	}
	return msg, nil
}

// readAnswer reads an answer of the servers. A refusal begins with the error, but for its type.
func readAnswer(data []byte, resp any) error {
	if bytes.Contains(data[:min(len(data), 256)], []byte(`"error":`)) {
		var is struct {
			Error *natsjs.APIError `json:"error"`
		}
		if err := json.Unmarshal(data, &is); err == nil && is.Error != nil {
			return answered{is.Error}
		}
	}
	if resp == nil {
		return nil
	}
	if err := json.Unmarshal(data, resp); err != nil {
		return fmt.Errorf("an answer of NATS does not read: %w", err)
	}
	return nil
}

// A stored message is one that the leader of a stream has.
type stored struct {
	Seq  uint64 `json:"seq"`
	Hdrs []byte `json:"hdrs"`
	Data []byte `json:"data"`
}

// A wanted message is named by its number, as the last one of a subject, or as the next one of it.
type wanted struct {
	Seq  uint64 `json:"seq,omitempty"`
	Last string `json:"last_by_subj,omitempty"`
	Next string `json:"next_by_subj,omitempty"`
}

// read returns a message from the leader of a stream. cluster.ErrNoMessage: the leader has none.
func (g *Ground) read(ctx context.Context, stream string, w wanted) (stored, error) {
	var resp struct {
		Message stored `json:"message"`
	}
	err := g.api(ctx, "STREAM.MSG.GET."+stream, w, &resp)
	if coded(err, natsjs.JSErrCodeMessageNotFound) {
		return stored{}, cluster.ErrNoMessage
	}
	return resp.Message, err
}

// info returns how a stream is, from its leader; with a filter, also its subjects.
func (g *Ground) info(ctx context.Context, stream, filter string) (*natsjs.StreamInfo, error) {
	var resp natsjs.StreamInfo
	req := map[string]string{}
	if filter != "" {
		req["subjects_filter"] = filter
	}
	err := g.api(ctx, "STREAM.INFO."+stream, req, &resp)
	return &resp, err
}

// store has a stream store a message. ErrRefused: the headers ask for what is not so. After any
// other error it may be stored.
func (g *Ground) store(ctx context.Context, msg *nats.Msg) (seq uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	reply, err := g.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		return 0, fmt.Errorf("store in %s: %w", msg.Subject, err)
	}
	return readStored(reply.Data)
}

// readStored reads what a stream says of a message that it was sent.
func readStored(data []byte) (seq uint64, err error) {
	var resp struct {
		Seq uint64 `json:"seq"`
	}
	err = readAnswer(data, &resp)
	switch {
	case coded(err, natsjs.JSErrCodeStreamWrongLastSequence, natsjs.JSErrCodeStreamWrongLastSequenceConstant):
		return 0, cluster.ErrRefused
	case coded(err, errInsufficient, errStorageFull):
		return 0, fmt.Errorf("%w: NATS says %w; raise max_file_store in the jetstream block of its servers and have them read it: nats-server --signal reload",
			cluster.ErrFull, err)
	case coded(err, errAccountFull, errStoreFailed):
		return 0, fmt.Errorf("%w: NATS says %w; raise max_bytes of the stream, or what the account may store", cluster.ErrFull, err)
	}
	return resp.Seq, err
}
