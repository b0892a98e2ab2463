package glassq

// A Reloaded says what came of reading a server's settings again; both lists are names of flags, in
// order.
type Reloaded struct {
	Changed []string `json:"changed"` // those that have another value now
	Restart []string `json:"restart"` // those that have one in the configuration, for which the server has to be started again
}
