package jetstream

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glassq/glassq/internal/cluster"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

const (
	scanMessages = 256     // of one batch
	scanBytes    = 4 << 20 // of one batch
	mostWaiting  = 256     // answers that are waited for; the owner has a few messages on their way
)

// A log is the stream of a store. It publishes by itself and not with the client library, which
// sends a message again by itself when nobody answers, and so changes the order.
type log struct {
	*Ground
	inbox   string // answers to message n come to inbox + n, in base 36
	answers *nats.Subscription
	absent  absence

	unlimited atomic.Bool // the account may store what the servers have room for

	mu      sync.Mutex // guards everything below
	calls   uint64
	waiting map[uint64]func(error)
	wrong   string // settings of the stream that a store cannot do with, as said last
}

func newLog(g *Ground) (*log, error) {
	l := &log{Ground: g, inbox: nats.NewInbox() + ".", waiting: map[uint64]func(error){}}
	var err error
	l.answers, err = g.nc.Subscribe(l.inbox+"*", l.heard)
	return l, err
}

// Append sends the message. A server that takes nothing more from its connection, as one that is
// stopped, holds it for 2 s at most.
func (l *log) Append(after uint64, msg []byte, answer func(error)) {
	l.mu.Lock()
	l.calls++
	call := l.calls
	l.waiting[call] = answer
	delete(l.waiting, call-mostWaiting) // of which nothing was ever heard
	l.mu.Unlock()
	err := l.nc.PublishMsg(&nats.Msg{Subject: l.at.logSubject(), Reply: l.inbox + strconv.FormatUint(call, 36), Data: msg,
		Header: nats.Header{"Nats-Expected-Last-Sequence": {strconv.FormatUint(after, 10)}}})
	if err != nil {
		l.tell(call, err)
	}
}

// heard takes the answer to a message.
func (l *log) heard(msg *nats.Msg) {
	call, err := strconv.ParseUint(strings.TrimPrefix(msg.Subject, l.inbox), 36, 64)
	if err != nil {
		return
	}
	if msg.Header.Get("Status") == "503" {
		err = nats.ErrNoResponders // the stream has no leader now, or there is none
	} else {
		_, err = readStored(msg.Data)
	}
	l.tell(call, err)
}

func (l *log) tell(call uint64, err error) {
	l.mu.Lock()
	answer := l.waiting[call]
	delete(l.waiting, call)
	l.mu.Unlock()
	if answer != nil {
		answer(err)
	}
}

func (l *log) seen(err error) error { return l.absent.seen(l.at.logStream(), err) }

func (l *log) Info(ctx context.Context) (cluster.Info, error) {
	is, err := l.info(ctx, l.at.logStream(), "")
	if err = l.seen(err); err != nil {
		return cluster.Info{}, err
	}
	l.watch(is.Config)
	info := cluster.Info{First: is.State.FirstSeq, Last: is.State.LastSeq, Bytes: int64(is.State.Bytes),
		MaxBytes: max(0, is.Config.MaxBytes), Replicas: is.Config.Replicas, InStep: 1}
	if is.State.Msgs == 0 {
		info.First = info.Last + 1
	}
	if left, limited, err := l.accountRoom(ctx, is.Config.Replicas); err != nil {
		return cluster.Info{}, err
	} else if most := info.Bytes + left; limited && (info.MaxBytes == 0 || most < info.MaxBytes) {
		info.MaxBytes = most
	}
	l.room.limit(ctx, &info, is.Cluster)
	if is.Cluster != nil {
		info.Leader = is.Cluster.Leader
		for _, peer := range is.Cluster.Replicas {
			if peer.Current && !peer.Offline {
				info.InStep++
			}
			info.Lag = max(info.Lag, peer.Lag)
		}
	}
	return info, nil
}

// watch says it when somebody changes the stream to what a start would refuse: it may drop messages,
// or take none.
func (l *log) watch(cfg natsjs.StreamConfig) {
	var all []string
	for _, d := range compare(cfg, l.at.wanted()[2]) {
		if d.harms {
			all = append(all, d.String())
		}
	}
	wrong := strings.Join(all, "; ")
	l.mu.Lock()
	before := l.wrong
	l.wrong = wrong
	l.mu.Unlock()
	switch {
	case wrong == before:
	case wrong == "":
		l.opt.Logger.Info("the stream of the store is set as it must be again")
	default:
		l.opt.Logger.Error("somebody has changed the stream under the store, which may lose tasks or stand still", "err", wrong)
	}
}

// An account is what the servers say of the account of the user. One whose limits are in tiers has
// those of streams with as many copies.
type account struct {
	Storage int64 `json:"storage"` // of all copies
	Limits  struct {
		MaxStorage int64 `json:"max_storage"` // not positive: there is none
	} `json:"limits"`
	Tiers map[string]account `json:"tiers"`
}

// room is how many bytes of messages that are kept so many times have room, where that is limited. The
// limit of a tier counts each message once, that of an account all its copies.
func (a account) room(replicas int64) (left int64, limited bool) {
	if tier, ok := a.Tiers[fmt.Sprint("R", replicas)]; ok {
		most := tier.Limits.MaxStorage
		return max(0, most-tier.Storage/replicas), most > 0
	}
	most := a.Limits.MaxStorage
	return max(0, most-a.Storage) / replicas, most > 0
}

// accountRoom is the room in the account; one that was made without a limit is asked no more.
func (l *log) accountRoom(ctx context.Context, replicas int) (left int64, limited bool, err error) {
	if l.unlimited.Load() {
		return 0, false, nil
	}
	var a account
	if err := l.api(ctx, "INFO", nil, &a); err != nil {
		return 0, false, err
	}
	left, limited = a.room(int64(max(1, replicas)))
	l.unlimited.Store(!limited)
	return left, limited, nil
}

func (l *log) Read(ctx context.Context, n uint64) ([]byte, error) {
	msg, err := l.read(ctx, l.at.logStream(), wanted{Seq: n})
	return msg.Data, l.seen(err)
}

// Scan asks whichever server is near, in batches. It leaves out what that server does not have.
func (l *log) Scan(ctx context.Context, first uint64, most int, each func(n uint64, msg []byte) bool) error {
	if most == 1 { // without a subscription of its own, of which all servers would hear
		msg, err := l.ask(ctx, l.direct(), fmt.Appendf(nil, `{"seq":%d}`, first))
		if err != nil {
			return err
		}
		if n, end, err := scanned(msg, first); err != nil || end || n != first {
			return err
		}
		each(first, msg.Data)
		return nil
	}
	for most > 0 {
		last, passed, err := l.scan(ctx, first, min(most, scanMessages), each)
		if err != nil || passed == 0 || last == 0 {
			return err
		}
		first, most = last+1, most-passed
	}
	return nil
}

// scan is Scan of one batch. last is 0 when each has had enough.
func (l *log) scan(ctx context.Context, first uint64, most int, each func(uint64, []byte) bool) (last uint64,
	passed int, err error) {
	inbox := nats.NewInbox()
	batch := make(chan *nats.Msg, most+1) // and one that ends it
	sub, err := l.nc.ChanSubscribe(inbox, batch)
	if err != nil {
		return 0, 0, err
	}
	defer sub.Unsubscribe()
	err = l.nc.PublishRequest(l.direct(), inbox,
		fmt.Appendf(nil, `{"seq":%d,"batch":%d,"max_bytes":%d}`, first, most, scanBytes))
	if err != nil {
		return 0, 0, err
	}
	late := time.NewTimer(tryFor)
	defer late.Stop()
	for {
		select {
		case msg := <-batch:
			n, end, err := scanned(msg, first)
			if err != nil || end {
				return last, passed, err
			}
			if last, passed = n, passed+1; !each(n, msg.Data) {
				return 0, passed, nil
			}
			late.Reset(tryFor)
		case <-late.C:
			return last, passed, fmt.Errorf("read from message %d on: no server answers", first)
		case <-ctx.Done():
			return last, passed, ctx.Err()
		}
	}
}

// direct is where any server that has the stream answers reads.
func (l *log) direct() string { return "$JS.API.DIRECT.GET." + l.at.logStream() }

// scanned reads an answer to a read from message first on: the message n, or the end of the batch or
// of the stream.
func scanned(msg *nats.Msg, first uint64) (n uint64, end bool, err error) {
	switch status := msg.Header.Get("Status"); status {
	case "":
	case "204", "404":
		return 0, true, nil
	default:
		return 0, false, fmt.Errorf("read from message %d on: NATS answers %s %s", first, status,
			msg.Header.Get("Description"))
	}
	if n, err = strconv.ParseUint(msg.Header.Get("Nats-Sequence"), 10, 64); err != nil {
		return 0, false, fmt.Errorf("read from message %d on: an answer has no number", first)
	}
	return n, false, nil
}

func (l *log) Purge(ctx context.Context, first uint64) error {
	return l.seen(l.api(ctx, "STREAM.PURGE."+l.at.logStream(), map[string]uint64{"seq": first}, nil))
}

func (l *log) MaxMessage() int { return l.most }
