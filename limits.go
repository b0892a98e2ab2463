package glassq

import "time"

// Limits that every door shares.
const (
	MaxName     = 200      // bytes in a queue or run name
	MaxID       = 512      // bytes in a task id
	MaxReason   = 1000     // bytes of a nack's reason that are kept
	MaxBatch    = 10_000   // tasks in one put, leases in one reserve, acks in one call
	MaxPutBytes = 32 << 20 // bytes of bodies in one put
	MaxAnswer   = 32 << 20 // bytes of tasks in one reserve or page of peek; one that is alone may have more
	MaxHook     = 2 << 10  // bytes of a hook of a run
	MaxAttempts = 4000
	MaxMeta     = 64 << 10 // bytes of headers and unknown members of one task

	MaxPositions  = 1 << 32  // of a run: they have 32 bits
	MaxCheckpoint = 64 << 10 // bytes of a checkpoint
	MaxNote       = 200      // bytes of a note that are kept

	DefaultMaxBody = 16 << 20 // Limits.MaxBody when not set
	HardMaxBody    = 32 << 20 // the most that Limits.MaxBody may be

	DefaultAttempts = 20
	DefaultLease    = 60 * time.Second
	MinLease        = time.Second
	MaxLease        = 12 * time.Hour
	MaxDelay        = 10 * 365 * 24 * time.Hour // of delay and ttl

	MaxRate    = 1e7 // hand-outs a second that a rate may say
	MaxStages  = 100
	MaxCatchup = 24 * time.Hour // of schedule that a queue may catch up with

	DedupWindow    = 10 * time.Minute // how long an id chosen by others is remembered, see Settings.Unique
	DedupCount     = 1_000_000        // and how many of them, per queue
	AckedWindow    = 10 * time.Minute // how long an acked lease number is remembered, at least
	AckedCount     = 1_000_000        // and how many of them, at least
	RunsKept       = 10_000
	RunKeptFor     = 7 * 24 * time.Hour // after its end
	DefaultQueue   = "tasks"
	DefaultResults = "results"

	DefaultMaxQueues = 100_000 // queues of one store
	DefaultMaxRuns   = 100_000 // runs of one store, those included that have ended and are kept
)

// Limits are what an operator may set for all doors at once.
type Limits struct {
	MaxBody int // most bytes in one body; 0 means DefaultMaxBody, at most HardMaxBody
}

// nameByte holds the bytes a queue or run name is made of: A-Z a-z 0-9 . _ : + -
var nameByte = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:+-" {
		t[c] = true
	}
	return
}()

// CheckName reports whether name can name a queue or a run: 1..200 bytes of A-Z a-z 0-9 . _ : + -
// and neither "." nor "..". The error has code bad_name.
func CheckName(name string) error {
	if name == "." || name == ".." {
		return Errorf(CodeBadName, "bad name %q: it means a folder in paths; take another one", name)
	}
	if name == "" || len(name) > MaxName {
		return Errorf(CodeBadName, "bad name %.60q: a name has 1 to 200 bytes of A-Z a-z 0-9 . _ : + -", name)
	}
	for i := range len(name) {
		if !nameByte[name[i]] {
			return Errorf(CodeBadName, "bad name %.60q: a name has 1 to 200 bytes of A-Z a-z 0-9 . _ : + -", name)
		}
	}
	return nil
}
