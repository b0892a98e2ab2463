package rights

import (
	"slices"
)

// A Verb is what a client wants to do, a row of the table.
type Verb uint8

const (
	VerbAsk Verb = iota
	VerbWhoami
	VerbPut
	VerbImport
	VerbPutRun
	VerbResult
	VerbReserve
	VerbAck
	VerbNack
	VerbExtend
	VerbQueues
	VerbQueue
	VerbPeek
	VerbConfigure
	VerbPurge
	VerbPurgeAll
	VerbRedrive
	VerbKeys
	VerbReleaseKey
	VerbDrop
	VerbRuns
	VerbRun
	VerbReadRun
	VerbSetRun
	VerbCancelRun
	VerbSchedules
	VerbSetSchedule
	VerbDropSchedule
	VerbDropRun
	VerbStats
	VerbRunTask
	VerbEvents
	VerbAllEvents
	VerbMetrics
	VerbShutdown
	VerbBackup
	VerbReload
	VerbResetStats
	verbs
)

// An Of is on what a verb needs its scope.
type Of uint8

const (
	OfNothing Of = iota // whoever has the scope on anything
	OfQueue             // the queue that is named, or that a lease is of
	OfRun               // the run that is named, whose name the same patterns bound
	OfEach              // what is listed: the rest is left out
	OfAll               // every queue: only a token with the pattern * may
)

// A Rule is one row: who may do a verb, and by which names each door knows it. In the names Q is a
// queue and L a lease number.
type Rule struct {
	Does      string // in words
	Needs     Scope  // one of these; 0 for nothing but, where the server is locked, no more than that either
	Of        Of
	HTTP      []string // patterns of routes
	Memcached []string
	Manager   []string // methods of proxies, and functions of the server
	Client    []string // methods of package client
	Audit     string   // the action in the audit, for what somebody does to queues, runs or the server; "" is not audited
}

// Rules is the table, by Verb. Doors look up what they ask for, a route or method without a row
// does not exist, and docs/security.md shows it.
var Rules = [verbs]Rule{
	VerbAsk: {Does: "health and documents", HTTP: []string{"GET /livez", "GET /readyz", "GET /openapi.yaml",
		"GET /schema/{name}"}, Memcached: []string{"quit"},
		Manager: []string{"dummy", "accept_connection", "incref", "decref", "get_methods", "debug_info", "shutdown()"},
		Client:  []string{"Close"}},
	VerbWhoami: {Does: "who am I", Needs: Any, HTTP: []string{"GET /v1/whoami", "/"},
		Memcached: []string{"version", "verbosity", "mn", "stats settings"}, Client: []string{"Whoami"}},
	VerbPut: {Does: "put tasks", Needs: Put, Of: OfQueue, HTTP: []string{"POST /v1/queues/{queue}/tasks"},
		Memcached: []string{"set Q", "add Q", "ms Q"},
		Manager:   []string{"put", "put_nowait"}, Client: []string{"Put", "PutWait"}},
	VerbImport: {Does: "put what was exported (`import=true`)", Audit: "import", Needs: Put, Of: OfQueue, Client: []string{"Import"}},
	VerbPutRun: {Does: "name a run in a put", Needs: Put, Of: OfRun, Memcached: []string{"set Q/run=R"}},
	VerbResult: {Does: "name a queue for results, in a put, an ack or a run", Needs: Put | Work, Of: OfQueue},
	VerbReserve: {Does: "reserve and take tasks", Needs: Work, Of: OfQueue,
		HTTP:      []string{"POST /v1/queues/{queue}/reserve"},
		Memcached: []string{"get Q", "gets Q/open", "get Q/open", "gat Q", "gats Q/open", "mg Q v", "mg Q v c"},
		Manager:   []string{"get", "get_nowait"}, Client: []string{"Reserve"}},
	VerbAck: {Does: "ack; follow-ups need what a put needs", Needs: Work, Of: OfQueue, HTTP: []string{"POST /v1/ack"},
		Memcached: []string{"delete Q/L", "cas Q L", "set Q/ack=L", "md Q/L", "md Q CL", "ms Q CL"},
		Manager:   []string{"task_done"}, Client: []string{"Ack"}},
	VerbNack: {Does: "nack", Needs: Work, Of: OfQueue, HTTP: []string{"POST /v1/nack"},
		Memcached: []string{"set Q/L/nack", "ms Q/L/nack"}, Client: []string{"Nack"}},
	VerbExtend: {Does: "extend", Needs: Work, Of: OfQueue, HTTP: []string{"POST /v1/extend"},
		Memcached: []string{"touch Q/L", "mg Q/L T"}, Manager: []string{"hold"}, Client: []string{"Extend"}},
	VerbQueues: {Does: "list queues", Needs: Any, Of: OfEach, HTTP: []string{"GET /v1/queues"},
		Memcached: []string{"stats queue"}, Manager: []string{"number_of_objects"}, Client: []string{"Queues"}},
	VerbQueue: {Does: "see how much a queue holds", Needs: Any, Of: OfQueue,
		HTTP:      []string{"GET /v1/queues/{queue}", "GET /v1/queues/{queue}/explain"},
		Memcached: []string{"me Q"},
		Manager: []string{"create", "empty", "full", "qsize", "join", "close", "join_thread", "cancel_join_thread",
			"__str__", "__repr__", "#GETVALUE"}, Client: []string{"ExplainQueue"}},
	VerbPeek: {Does: "look at tasks", Needs: Read, Of: OfQueue,
		HTTP:      []string{"GET /v1/queues/{queue}/peek", "GET /v1/queues/{queue}/tasks/{id}"},
		Memcached: []string{"get Q/peek", "mg Q"}, Client: []string{"Peek", "ExplainTask"}},
	VerbConfigure: {Does: "change the settings of a queue", Audit: "configure", Needs: Admin, Of: OfQueue,
		HTTP: []string{"PATCH /v1/queues/{queue}"}, Client: []string{"Configure"}},
	VerbPurge: {Does: "purge", Audit: "purge", Needs: Admin, Of: OfQueue, HTTP: []string{"POST /v1/queues/{queue}/purge"},
		Memcached: []string{"flush Q"}, Client: []string{"Purge", "PurgeSome"}},
	VerbPurgeAll: {Does: "purge everything", Audit: "purge_all", Needs: Admin, Of: OfAll, Memcached: []string{"flush_all"}},
	VerbRedrive: {Does: "redrive", Audit: "redrive", Needs: Admin, Of: OfQueue, HTTP: []string{"POST /v1/queues/{queue}/redrive"},
		Client: []string{"Redrive", "RedriveSome"}},
	VerbKeys: {Does: "look at keys", Needs: Read, Of: OfQueue, HTTP: []string{"GET /v1/queues/{queue}/keys"},
		Client: []string{"Keys"}},
	VerbReleaseKey: {Does: "end the hold and the halt of a key", Audit: "release_key", Needs: Admin, Of: OfQueue,
		HTTP: []string{"POST /v1/queues/{queue}/release"}, Client: []string{"ReleaseKey"}},
	VerbDrop: {Does: "drop a queue", Audit: "drop", Needs: Admin, Of: OfQueue, HTTP: []string{"DELETE /v1/queues/{queue}"},
		Memcached: []string{"delete Q", "md Q"}, Client: []string{"Drop"}},
	VerbRuns: {Does: "list runs", Needs: Any, Of: OfEach, HTTP: []string{"GET /v1/runs"}, Client: []string{"Runs"}},
	VerbRun: {Does: "see and await a run, and which of its positions are done", Needs: Any, Of: OfRun,
		HTTP:   []string{"GET /v1/runs/{run}", "GET /v1/runs/{run}/ids", "GET /v1/runs/{run}/explain"},
		Client: []string{"Run", "AwaitRun", "RunIDs", "ExplainRun"}},
	VerbReadRun: {Does: "say who reads the results of a run that is there", Needs: Any, Of: OfRun,
		HTTP: []string{"POST /v1/runs/{run}"}},
	VerbSetRun: {Does: "say anything else of a run: make it, seal it, retry another one", Audit: "set_run", Needs: Put, Of: OfRun,
		Client: []string{"SetRun"}},
	VerbCancelRun: {Does: "cancel a run", Audit: "cancel", Needs: Admin, Of: OfRun, HTTP: []string{"POST /v1/runs/{run}/cancel"},
		Client: []string{"CancelRun"}},
	VerbSchedules: {Does: "list schedules, with their tasks", Needs: Read, Of: OfEach, HTTP: []string{"GET /v1/schedules"}, Client: []string{"Schedules"}},
	VerbSetSchedule: {Does: "make or change a schedule; its task needs what a put needs", Audit: "set_schedule", Needs: Put, Of: OfQueue,
		HTTP: []string{"POST /v1/schedules/{schedule}"}, Client: []string{"SetSchedule"}},
	VerbDropSchedule: {Does: "forget a schedule", Audit: "drop_schedule", Needs: Put, Of: OfQueue,
		HTTP: []string{"DELETE /v1/schedules/{schedule}"}, Client: []string{"DropSchedule"}},
	VerbDropRun: {Does: "forget a run that is over", Audit: "drop_run", Needs: Admin, Of: OfRun,
		HTTP: []string{"DELETE /v1/runs/{run}"}, Client: []string{"DropRun"}},
	VerbStats: {Does: "figures of the server", Needs: Any, HTTP: []string{"GET /v1/stats"}, Memcached: []string{"stats"},
		Client: []string{"Stats"}},
	VerbRunTask: {Does: "look at a task of a run", Needs: Read, Of: OfRun, HTTP: []string{"GET /v1/runs/{run}/tasks/{n}"}},
	VerbEvents: {Does: "hear what happens to a queue or run, which is named", Needs: Any, Of: OfEach,
		HTTP: []string{"GET /v1/events"}},
	VerbAllEvents: {Does: "hear of everything", Needs: Read, Of: OfAll},
	VerbMetrics:   {Does: "figures of everything, for Prometheus", Needs: Read, Of: OfAll, HTTP: []string{"GET /metrics"}},
	VerbShutdown:  {Does: "end a queue for Python programs", Audit: "shutdown", Needs: Admin, Of: OfQueue, Manager: []string{"shutdown"}},
	VerbBackup: {Does: "copy the store", Audit: "backup", Needs: Admin, Of: OfAll, HTTP: []string{"POST /v1/backup"},
		Client: []string{"Copy", "Archive"}},
	VerbReload: {Does: "have the server read its settings again", Audit: "reload", Needs: Admin, Of: OfAll,
		HTTP: []string{"POST /v1/reload"}, Client: []string{"Reload"}},
	VerbResetStats: {Does: "set figures to zero", Audit: "reset_stats", Needs: Admin, Of: OfAll, Memcached: []string{"stats reset"}},
}

// Route is the verb of a route of the HTTP door. It panics for a route without a row.
func Route(pattern string) Verb {
	v, ok := find(func(r *Rule) []string { return r.HTTP }, pattern)
	if !ok {
		panic("rights: the table has no row for " + pattern)
	}
	return v
}

// Method is the verb of a method of the manager door's proxies, or of a function of its server,
// whose shutdown is written "shutdown()". ok is false for one without a row.
func Method(name string) (v Verb, ok bool) {
	return find(func(r *Rule) []string { return r.Manager }, name)
}

func find(names func(*Rule) []string, name string) (Verb, bool) {
	for v := range Rules {
		if slices.Contains(names(&Rules[v]), name) {
			return Verb(v), true
		}
	}
	return 0, false
}
