package jetstream

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glassq/glassq"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

const (
	leastVersion = "2.11" // the first that answers batches of direct reads
	formatKey    = "glassq-format"
	formatNow    = 1 // of the streams
)

// setUp checks the servers, and makes or checks what a store has there.
func (g *Ground) setUp(ctx context.Context) error {
	var err error
	if g.log, err = newLog(g); err != nil {
		return err
	}
	if err := g.checkServer(ctx); err != nil {
		return err
	}
	h, err := g.lookUp(ctx, g.at.hintStream())
	if err != nil {
		return err
	}
	l, err := g.lookUp(ctx, g.at.logStream())
	if err != nil {
		return err
	}
	known := false // a store was made here
	if h != nil {
		text, _, err := (*hints)(g).Get(ctx, "store")
		if err != nil {
			return err
		}
		known = text != nil
	}
	switch {
	case h == nil && l != nil && l.State.LastSeq > 0:
		if err := g.goneFor(ctx, g.at.hintStream()); err != nil {
			return err
		}
		return glassq.Errorf(glassq.CodeDamaged, "stream %s holds a log of %d messages, and the bucket %s, which says what store it is of, was deleted: bring it back from a backup of NATS, or delete the stream and restore an archive",
			g.at.logStream(), l.State.LastSeq, g.at.hintBucket())
	case !known && (l == nil || l.State.LastSeq == 0):
		if err := g.maySync(ctx); err != nil {
			return err
		}
		for _, cfg := range g.at.wanted() {
			if err := g.make(ctx, cfg); err != nil {
				return err
			}
		}
	case known:
		b, err := g.lookUp(ctx, g.at.stateStream())
		if err != nil {
			return err
		}
		if b == nil { // whether that does harm is told by what the log begins with
			if err := g.goneFor(ctx, g.at.stateStream()); err != nil {
				return err
			}
			g.opt.Logger.Warn("the bucket of checkpoints was deleted, it is made anew", "bucket", g.at.hintBucket())
			if err := g.make(ctx, g.at.wanted()[1]); err != nil {
				return err
			}
		}
	}
	return g.checkStreams(ctx)
}

// lookUp returns how a stream is, or nil where the servers say that there is none.
func (g *Ground) lookUp(ctx context.Context, stream string) (*natsjs.StreamInfo, error) {
	is, err := g.info(ctx, stream, "")
	if coded(err, natsjs.JSErrCodeStreamNotFound) {
		return nil, nil
	}
	return is, err
}

// goneFor returns nil when the servers have said for a while that there is no such stream.
func (g *Ground) goneFor(ctx context.Context, stream string) error {
	for began := time.Now(); time.Since(began) < goneFor; {
		is, err := g.lookUp(ctx, stream)
		switch {
		case err != nil:
			return err
		case is != nil:
			return glassq.Errorf(glassq.CodeUnavailable, "the servers of %s have just found stream %s", g.at, stream)
		}
		select {
		case <-time.After(5 * tryPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// checkServer checks what every server must be able to do.
func (g *Ground) checkServer(ctx context.Context) error {
	if v := g.nc.ConnectedServerVersion(); !atLeast(v, leastVersion) {
		return glassq.Errorf(glassq.CodeBadRequest, "server %s of %s is NATS %s: update it to %s or newer",
			g.nc.ConnectedServerName(), g.at, v, leastVersion)
	}
	if g.most < leastBody {
		return glassq.Errorf(glassq.CodeBadRequest,
			"server %s of %s carries messages of %d bytes, and a store needs %d: set its max_payload to 1MB, and that of all others",
			g.nc.ConnectedServerName(), g.at, g.nc.MaxPayload(), leastBody+headers)
	}
	err := g.api(ctx, "INFO", nil, nil)
	if coded(err, natsjs.JSErrCodeJetStreamNotEnabledForAccount, natsjs.JSErrCodeJetStreamNotEnabled) {
		return glassq.Errorf(glassq.CodeBadRequest,
			"the account of the user of %s has no JetStream: switch it on in the configuration of the servers (%w)", g.at, err)
	}
	if err != nil {
		return glassq.Errorf(glassq.CodeUnavailable,
			"JetStream of %s does not answer: its servers are starting or too few, or JetStream is switched off there (%w)", g.at, err)
	}
	return nil
}

// atLeast compares versions by their first two numbers.
func atLeast(version, least string) bool {
	number := func(text string) (n [2]int) {
		for i, part := range strings.SplitN(text, ".", 3)[:2] {
			n[i], _ = strconv.Atoi(part)
		}
		return n
	}
	if strings.Count(version, ".") < 1 {
		return false
	}
	have, want := number(version), number(least)
	return slices.Compare(have[:], want[:]) >= 0
}

// wanted are the streams of a store, in the order in which they are made: hints, checkpoints, log.
func (l Location) wanted() []natsjs.StreamConfig {
	marks := map[string]string{formatKey: strconv.Itoa(formatNow)}
	base := natsjs.StreamConfig{Storage: natsjs.FileStorage, Retention: natsjs.LimitsPolicy, Discard: natsjs.DiscardNew,
		Replicas: l.Replicas, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1,
		AllowDirect: true, Metadata: marks}
	h, b, log := base, base, base
	h.Name, h.Subjects, h.Description = l.hintStream(), []string{l.hintSubject() + ">"}, "glassq: who owns the store "+l.Name
	h.MaxMsgsPerSubject, h.AllowRollup, h.DenyDelete = 1, true, true
	b.Name, b.Subjects = l.stateStream(), []string{l.chunkSubject() + ">", l.metaSubject() + ">"}
	b.Description, b.AllowRollup = "glassq: checkpoints of the store "+l.Name, true
	log.Name, log.Subjects, log.Description = l.logStream(), []string{l.logSubject()}, "glassq: the log of the store "+l.Name
	log.DenyDelete, log.Duplicates = true, 100*time.Millisecond
	if l.MaxBytes > 0 {
		log.MaxBytes = l.MaxBytes
	}
	return []natsjs.StreamConfig{h, b, log}
}

// make makes a stream. It is not done twice where it is there already.
func (g *Ground) make(ctx context.Context, cfg natsjs.StreamConfig) error {
	err := g.api(ctx, "STREAM.CREATE."+cfg.Name, cfg, nil)
	switch {
	case coded(err, natsjs.JSErrCodeStreamNameInUse):
		return nil // with other settings, which are looked at next
	case coded(err, errNoCluster):
		return glassq.Errorf(glassq.CodeBadRequest,
			"%s is a single server, and the store is to have %d copies: start a cluster, or add ?replicas=1 to the URL, which one broken disk ends", g.at, cfg.Replicas)
	case coded(err, errNoPeers):
		return glassq.Errorf(glassq.CodeUnavailable,
			"%s has fewer servers with JetStream and room than the %d copies of the store: start more, or add ?replicas=1 to the URL (%w)", g.at, cfg.Replicas, err)
	case coded(err, errAccountFull, errInsufficient, errStorageFull):
		return glassq.Errorf(glassq.CodeUnavailable, "the account or the servers of %s have no room for stream %s: raise their limits (%w)",
			g.at, cfg.Name, err)
	case err != nil:
		return fmt.Errorf("make stream %s: %w", cfg.Name, err)
	}
	return nil
}

// maySync refuses to make a store where the servers do not sync what they confirm.
func (g *Ground) maySync(ctx context.Context) error {
	if g.opt.AcceptLazySync {
		return nil
	}
	const without = "set sync_interval: always in the jetstream block of each server, or add --accept-lazy-sync, with which a power cut of all of them may lose everything"
	if len(g.opt.Monitors) == 0 {
		return glassq.Errorf(glassq.CodeBadRequest,
			"whether the servers of %s sync what they confirm cannot be seen: name the monitoring ports of all of them with --nats-monitor http://host:8222,…; %s", g.at, without)
	}
	s, err := monitors(ctx, g.opt.Monitors)
	switch {
	case err != nil:
		return err
	case len(s.lazy) > 0:
		return glassq.Errorf(glassq.CodeBadRequest, "no store is made: %s; %s", strings.Join(s.lazy, ", "), without)
	case s.seen < min(g.at.Replicas, max(s.size, 1)):
		return glassq.Errorf(glassq.CodeBadRequest,
			"--nats-monitor names %d servers and the cluster has %d: name all of them, or add --accept-lazy-sync", s.seen, s.size)
	}
	return nil
}

// A difference is a setting of a stream that is not what a store needs.
type difference struct {
	stream, setting, have, want string
	mend                        string // the command, or what else to do
	harms                       bool   // the store cannot be used
}

func (d difference) String() string {
	return fmt.Sprintf("stream %s has %s %s and a store needs %s: %s", d.stream, d.setting, d.have, d.want, d.mend)
}

// compare finds what of a stream is not as it should be.
func compare(have, want natsjs.StreamConfig) (found []difference) {
	note := func(harms bool, setting, mend string, is, should any) {
		if h, w := fmt.Sprint(is), fmt.Sprint(should); h != w {
			found = append(found, difference{want.Name, setting, cmp.Or(h, "none"), cmp.Or(w, "none"), mend, harms})
		}
	}
	const anew = "it cannot be changed: make an archive with glassq backup if gateways run, delete the stream and the buckets, and restore"
	edit := "nats stream edit " + want.Name + " "
	limit := func(n int64) string { // -1 and 0 are none
		if n <= 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	note(true, "subjects", edit+"--subjects="+strings.Join(want.Subjects, ","), have.Subjects, want.Subjects)
	note(true, "storage", anew, have.Storage, want.Storage)
	note(true, "retention", anew, have.Retention, want.Retention)
	note(true, "persist_mode", anew, mode(have.PersistMode), mode(want.PersistMode))
	note(true, "discard", edit+"--discard=new", have.Discard, want.Discard)
	note(true, "max_age", edit+"--max-age=0", have.MaxAge, want.MaxAge)
	note(true, "max_msgs", edit+"--max-msgs=-1", limit(have.MaxMsgs), "")
	note(true, "max_msg_size", edit+"--max-msg-size=-1", limit(int64(have.MaxMsgSize)), "")
	note(true, "max_msgs_per_subject", edit+"--max-msgs-per-subject="+strconv.FormatInt(want.MaxMsgsPerSubject, 10),
		limit(have.MaxMsgsPerSubject), limit(want.MaxMsgsPerSubject))
	note(true, "sealed", anew, have.Sealed, false)
	note(true, "deny_purge", anew, have.DenyPurge, false)
	note(true, "no_ack", edit+"--ack", have.NoAck, false)
	note(true, "mirror", anew, have.Mirror != nil, false)
	note(true, "sources", edit+"--no-source", len(have.Sources), 0)
	note(true, "subject_transform", edit+"--no-transform", have.SubjectTransform != nil, false)
	note(false, "allow_direct", edit+"--allow-direct", have.AllowDirect, true)
	return found
}

func mode(m natsjs.PersistModeType) string { return cmp.Or(fmt.Sprint(m), "default") }

// checkStreams refuses streams that are not a store's, and warns of what may become a trouble.
func (g *Ground) checkStreams(ctx context.Context) error {
	for _, want := range g.at.wanted() {
		is, err := g.lookUp(ctx, want.Name)
		switch {
		case err != nil:
			return err
		case is == nil:
			continue // it was deleted, which is told where it is read
		}
		if err := ours(want.Name, g.at, is); err != nil {
			return err
		}
		for _, d := range compare(is.Config, want) {
			if d.harms {
				return glassq.Errorf(glassq.CodeBadRequest, "%v", d)
			}
			g.opt.Logger.Warn(d.String())
		}
		if is.Config.Replicas < 2 && want.Name == g.at.logStream() {
			g.opt.Logger.Warn("the store has one copy: a broken disk of one server ends it; nats stream edit --replicas=3 mends that",
				"stream", want.Name)
		}
	}
	return nil
}

// ours refuses a stream that others have made, or a newer program.
func ours(name string, at Location, is *natsjs.StreamInfo) error {
	text := is.Config.Metadata[formatKey]
	if text == "" {
		return glassq.Errorf(glassq.CodeBadRequest, "stream %s of %s was made by something else: take another NAME in the URL",
			name, at)
	}
	if n, err := strconv.Atoi(text); err != nil || n > formatNow {
		return glassq.Errorf(glassq.CodeDamaged, "stream %s has format %s, this program knows %d: use a newer one", name, text, formatNow)
	}
	return nil
}
