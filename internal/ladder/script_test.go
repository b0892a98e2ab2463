package ladder

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/glassq/glassq/internal/disk"
)

// A script is a short life of a store: steps by name, and how the store is opened.
type script struct {
	name  string
	steps []string
	opt   disk.Options
}

// table are the lives that are always tried. Segments are as small as they may be, so that a
// handful of big puts rolls, a roll makes a checkpoint due, and acked segments are emptied.
var table = func() []script {
	text := []struct{ name, steps string }{
		{"first start", ""},
		{"first put", "one"},
		{"put after put", "one one one"},
		{"batches", "put put put"},
		{"restart of nothing", "restart"},
		{"restart after a put", "one restart one"},
		{"three restarts", "put restart reserve restart ack restart"},
		{"lease and ack", "put reserve ack"},
		{"ack with result", "put reserve result"},
		{"result is taken", "put reserve result reserve take"},
		{"ack twice", "put reserve ack again restart again"},
		{"result and its lease", "put reserve result reserve ack"},
		{"nack and again", "put reserve nack sleep reserve ack"},
		{"nack to dead", "put reserve die redrive reserve ack"},
		{"undone", "put reserve undo reserve ack"},
		{"extend", "put reserve extend sleep ack"},
		{"progress", "put reserve say say say sleep say undo reserve say nack expire reserve ack"},
		{"progress past a restart", "put reserve say restart say expire reserve say restart reserve take"},
		{"progress of the dead", "put reserve say die redrive reserve say allack"},
		{"checkpoints under compaction", "one reserve say big big say sleep big reserve allack big sleep say restart expire reserve"},
		{"checkpoints move", "put reserve say say big reserve ack big reserve ack sleep big big reserve ack sleep undo undo reserve"},
		{"halt", "halt put put reserve allack reserve result put reserve nack expire reserve ack"},
		{"halt past a restart", "halt halt put reserve nack restart put reserve ack expire reserve restart result expire reserve"},
		{"halt and by hand", "halt put reserve nack reserve die halt reserve nack unpause reserve allack unpause take"},
		{"halts send one probe", "trip trip trip put put put reserve reserve reserve die die put put put expire put put " +
			"probe probe probe ack expire put put probe probe probe grab"},
		{"halted keys", "keys halt put put reserve nack reserve result reserve die reserve nack release expire reserve ack unpause grab"},
		{"halted keys past a restart", "keys halt put put reserve nack reserve die restart nack put sleep restart reserve expire release reserve"},
		{"hooks", "hook put seal reserve result allack grab allack reserve allack restart reserve allack grab"},
		{"hooks of a run that is redriven", "hook hook put seal grab die allack grab allack redrive grab allack redrive grab restart allack grab"},
		{"hooks at a ttl", "hook put hook put seal expire expire expire restart grab reserve expire hookroom grab"},
		{"hooks of seal and cancel", "hook seal hook cancel put hook after cancel hook take seal take restart hookroom put seal grab"},
		{"hooks have places", "hookroom hook hook hookroom put seal restart hook grab allack purge hook hookroom redrive purge seal"},
		{"runs after others", "one after after range put seal put restart seal grab result expire allack grab cancel grab allack"},
		{"runs after others past compaction", "one after big after big seal big seal sleep reserve allack big sleep restart grab allack sleep grab"},
		{"retries", "hook put seal grab allack retry retry after put seal grab die allack restart grab allack redrive grab allack forget"},
		{"keys", "keys put put put grab keys ack reserve result restart reserve nack reserve keys grab hold wait reserve release grab"},
		{"keys past a restart", "keys put put reserve take restart reserve ack restart sleep reserve hold restart wait keys restart grab"},
		{"keys under compaction", "keys put big big reserve ack big hold sleep big big reserve ack sleep restart grab release keys take"},
		{"schedules", "schedule expire sleep schedule grab expire allack schedule grab restart expire schedule expire unschedule grab"},
		{"schedules past a restart", "schedule restart expire restart schedule expire grab restart sleep allack expire schedule restart expire"},
		{"schedules change", "schedule schedule expire schedule schedule schedule expire unschedule schedule expire schedule schedule unschedule expire"},
		{"schedules past compaction", "schedule big big expire sleep big reserve ack big expire sleep reserve ack sleep schedule restart expire"},
		{"costs", "keys put put put grab ack allack reserve undo grab restart reserve result sleep grab allack keys grab expire grab"},
		{"costs past compaction", "keys put range keys big grab undo grab allack big big sleep grab ack sleep restart reserve allack sleep grab"},
		{"holds", "put put grab hold hold reserve restart look release grab hold expire wait"},
		{"extend past a restart", "put reserve extend restart expire reserve"},
		{"expired lease", "put reserve expire stale reserve ack"},
		{"attempts used up", "put put reserve expire reserve expire redrive reserve ack"},
		{"take", "put take take"},
		{"delays come due", "delay delay sleep expire reserve ack"},
		{"ttl", "put put put expire expire reserve"},
		{"positions", "put dup dup put reserve result dup"},
		{"ranges", "range range reserve reserve result range restart reserve ack range allack"},
		{"ranges come back", "range reserve nack undo die restart redrive reserve expire reserve allack"},
		{"ranges end", "range reserve purge range reserve restart cancel range expire allack"},
		{"ranges under compaction", "range reserve big big reserve ack ack sleep big big reserve ack sleep restart range grab allack"},
		{"ids", "ids ids ids reserve allack ids"},
		{"ids after a restart", "ids restart ids reserve restart ids"},
		{"ids after their window", "ids hour ids"},
		{"settings", "set put reserve set put set reserve"},
		{"settings survive", "set restart put set restart"},
		{"purge", "put put purge put reserve purge"},
		{"purge of the dead", "put reserve die reserve die bury"},
		{"some of the dead", "put put put reserve die die some redrive reserve die nack expire die some some restart some bury"},
		{"drop", "put purge drop put drop restart put"},
		{"drop and again", "put reserve allack drop again put reserve"},
		{"seal", "put seal put seal reserve allack"},
		{"sealed run ends", "put reserve result seal take"},
		{"cancel", "put put cancel reserve put cancel"},
		{"cancel with leases", "put reserve cancel allack"},
		{"runs go", "put seal forget reserve result forget cancel forget take bury forget put"},
		{"runs go and begin anew", "put cancel forget put restart seal forget big big sleep cancel forget restart put"},
		{"roll", "big big big big"},
		{"roll and read", "big big big reserve big ack big"},
		{"roll under leases", "big reserve big big ack big big"},
		{"roll of leases only", "put reserve extend extend extend reserve big big"},
		{"checkpoint", "big big sleep big big sleep"},
		{"checkpoint and tail", "big big big sleep one reserve ack one"},
		{"two checkpoints", "big big sleep big big sleep big big sleep one"},
		{"checkpoint with everything", "put ids delay set reserve die reserve nack big big sleep restart put again"},
		{"checkpoint under leases", "big reserve big sleep ack big big sleep result one"},
		{"checkpoint with runs", "put seal put reserve result big big sleep seal put"},
		{"segments go", "big reserve allack big reserve allack big reserve allack sleep big reserve allack sleep"},
		{"segments go, one task stays", "one big reserve ack big reserve ack big reserve ack sleep big big reserve ack sleep"},
		{"old task under new load", "delay big big reserve allack big big reserve allack sleep big reserve allack sleep one"},
		{"survivors", "big big reserve ack ack sleep big big reserve ack ack sleep big big reserve ack sleep"},
		{"survivors are leased", "big reserve big big reserve ack sleep big big reserve ack sleep allack sleep big"},
		{"survivors die", "big reserve die big big reserve allack sleep big big reserve allack sleep redrive sleep"},
		{"survivors and restarts", "big big reserve ack restart big big reserve ack restart big reserve ack restart"},
		{"results pile up", "big reserve result big reserve result big reserve result sleep take take take sleep"},
		{"empty after much", "big reserve allack big reserve allack purge big purge purge sleep restart"},
		{"take through segments", "big take take big take take big take take sleep big take sleep"},
		{"state records only", "put reserve extend undo reserve extend undo reserve extend undo reserve sleep"},
		{"long and quiet", "put sleep sleep reserve sleep ack sleep sleep"},
		{"hour asleep", "put reserve hour reserve hour reserve"},
		{"ids are free again", "ids purge ids reserve die bury ids purge restart ids drop ids"},
		{"ids are free again after a restart", "ids reserve die restart bury purge ids restart purge ids big big sleep purge ids"},
		{"ids go with their tasks", "unique ids hour ids reserve allack ids reserve die hour ids bury ids redrive ids"},
		{"ids go with their tasks across restarts", "ids unique restart hour ids restart reserve allack unique ids purge restart ids"},
		{"ids under compaction", "unique ids big big reserve ack sleep hour big big reserve ack sleep ids purge ids"},
		{"archives", "put ids range reserve result archive reserve ack again archive dup ids allack archive"},
		{"archives of keys", "keys keys keys put put range grab grab grab ack hold archive reserve keys result archive expire grab allack archive grab"},
		{"archives of halts", "halt halt put put reserve nack reserve die reserve nack archive reserve result expire archive reserve allack archive take"},
		{"archives of runs", "hook seal hook put seal grab die allack archive retry after put seal archive grab allack archive redrive grab allack archive grab"},
		{"archives of progress", "put range reserve say say archive say undo reserve say archive expire reserve say die archive redrive reserve allack"},
		{"archives of schedules", "schedule schedule archive expire archive schedule grab expire archive allack expire unschedule archive expire"},
		{"archives under compaction", "big big reserve ack sleep archive big big reserve allack sleep archive restart big reserve allack sleep"},
	}
	var out []script
	for i, x := range text {
		out = append(out, script{x.name, strings.Fields(x.steps), options(i)})
	}
	for i := range 12 {
		out = append(out, script{fmt.Sprintf("mixed %d", i), nil, options(i * 5)})
	}
	return out
}()

// options varies how the store is opened. The mode is mostly the one that promises most.
func options(i int) disk.Options {
	o := disk.Options{SegmentSize: 8 << 10, CacheBytes: 1}
	if i%3 == 1 {
		o.SegmentSize = 12 << 10
	}
	if i%2 == 1 {
		o.CacheBytes = 0
	}
	switch i % 10 {
	case 6:
		o.Sync = disk.SyncInterval
	case 9:
		o.Sync = disk.SyncNever
	}
	return o
}

// usual are steps as they come in a working queue; rare ones are rare.
var usual = strings.Fields("put put put range big big big one ids dup delay reserve reserve reserve reserve reserve reserve " +
	"ack ack allack result result result take nack die undo extend extend say say say again stale sleep sleep sleep expire " +
	"set halt halt unpause unique purge bury redrive some some seal cancel forget drop restart restart")

// pipeline are steps of short runs that end, with what their ends bring.
var pipeline = strings.Fields("hook hook hook hook hook hook after after after retry one one range seal seal cancel grab grab allack allack allack result die " +
	"redrive redrive expire hookroom forget " +
	"schedule schedule schedule unschedule")

// turns are those and steps with keys. Whose turn it is a start decides anew, so lives are not alike in all ways.
var turns = slices.Concat(strings.Fields("keys keys keys hold hold release grab trip probe"), pipeline, usual)

func mixed(rng *rand.Rand, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = turns[rng.IntN(len(turns))]
	}
	return out
}
