package live

const (
	leaseBlock  = 256     // lease numbers of one block
	spareBlocks = 16      // that are kept for the next ones
	maxLeases   = 1 << 20 // leases that are known at a time; what is handed out beyond has no holder
)

// A leased is what is known of one live lease: 16 bytes, no pointers. Deadline 0 is no lease.
type leased struct {
	deadline uint32 // seconds since the Live was made
	out      uint32 // when it was handed out, see Live.ms
	queue    uint16 // index of Live.queues
	run      uint16 // index of Live.runs; 0 is none
	worker   uint16 // index of Live.workers
	length   uint16 // seconds, as it was last granted
}

type leasedBlock struct {
	live  int
	first uint32 // the earliest deadline in it, or before that
	all   [leaseBlock]leased
}

// leases are the live ones by number. Neighbours mostly follow each other, so the block last used
// is at hand.
type leases struct {
	blocks map[uint64]*leasedBlock
	live   int
	last   *leasedBlock
	lastK  uint64
	spare  []*leasedBlock // up to spareBlocks
}

func (t *leases) block(number uint64) *leasedBlock {
	if k := number / leaseBlock; t.last == nil || t.lastK != k {
		t.last, t.lastK = t.blocks[k], k
	}
	return t.last
}

// get is nil for a lease that is not known. The pointer is good until the next set or remove.
func (t *leases) get(number uint64) *leased {
	b := t.block(number)
	if b == nil || b.all[number%leaseBlock].deadline == 0 {
		return nil
	}
	return &b.all[number%leaseBlock]
}

// set notes a lease, which must not be there, and returns whether there was room for it.
func (t *leases) set(number uint64, l leased) bool {
	if t.live >= maxLeases {
		return false
	}
	b := t.block(number)
	if b == nil {
		if n := len(t.spare); n > 0 {
			b, t.spare = t.spare[n-1], t.spare[:n-1]
		} else {
			b = &leasedBlock{}
		}
		if t.blocks == nil {
			t.blocks = map[uint64]*leasedBlock{}
		}
		b.first = l.deadline
		t.blocks[number/leaseBlock] = b
		t.last = b
	}
	b.all[number%leaseBlock] = l
	b.first = min(b.first, l.deadline)
	b.live++
	t.live++
	return true
}

// remove forgets a lease that is there.
func (t *leases) remove(number uint64) {
	b := t.block(number)
	b.all[number%leaseBlock] = leased{}
	t.live--
	if b.live--; b.live == 0 {
		delete(t.blocks, number/leaseBlock)
		if t.last = nil; len(t.spare) < spareBlocks {
			t.spare = append(t.spare, b)
		}
	}
}

// expire calls gone for the leases whose deadline is before now, and forgets them. It looks into a
// block only when something in it may have ended.
func (t *leases) expire(now uint32, gone func(l leased)) {
	for k, b := range t.blocks {
		if b.first >= now {
			continue
		}
		first := ^uint32(0)
		for i := range b.all {
			switch l := b.all[i]; {
			case l.deadline == 0:
			case l.deadline < now:
				t.remove(k*leaseBlock + uint64(i))
				gone(l)
			default:
				first = min(first, l.deadline)
			}
		}
		b.first = first
	}
}
