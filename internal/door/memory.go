package door

import "github.com/glassq/glassq"

const (
	// LeastMemory is how many bytes a server needs whose bodies are as large as
	// glassq.DefaultMaxBody lets them be.
	LeastMemory = 256 << 20

	bodiesInFlight = 256 << 20 // bytes of bodies that are being received, at most
	answersUnread  = 256 << 20 // bytes of bodies in answers that are on their way, at most
	cachedFrames   = 64 << 20  // bytes of the log kept in memory, at most
)

// A Memory says how the memory of a server is shared out, in bytes.
type Memory struct {
	Bodies  int64 // being received, see Intake
	Parked  int64 // in puts that wait for room in their queues; they are not among Bodies: there, they could keep out the acks that make room
	Answers int64 // in answers that are on their way, see Answers
	Cache   int64 // frames of the log that are kept to be handed out
}

// Fits tells whether a server whose memory is shared out so can have bodies of maxBody bytes.
func (m Memory) Fits(maxBody int) bool { return m.Answers >= leastAnswers(int64(maxBody)) }

// Share shares out limit, the most that the process may have; 0 is as much as it likes. Bodies have
// at most maxBody bytes, 0 for glassq.DefaultMaxBody. The rest is for the index of the tasks,
// for the frames that are written, and for garbage. A body that is received is held twice until it
// is durable, and the largest request and the largest answer have to fit even where there is less
// than LeastMemory.
func Share(limit int64, maxBody int) Memory {
	if maxBody == 0 {
		maxBody = glassq.DefaultMaxBody
	}
	share := func(part, least, most int64) int64 {
		if limit <= 0 {
			return most
		}
		return min(max(limit/part, least), most)
	}
	m := Memory{
		Bodies:  share(6, leastIntake, bodiesInFlight),
		Answers: share(8, leastAnswers(int64(maxBody)), answersUnread),
		Cache:   share(16, 4<<20, cachedFrames),
	}
	m.Parked = m.Bodies / 2
	return m
}
