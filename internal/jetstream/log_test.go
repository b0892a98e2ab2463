package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/glassq/glassq/internal/jetstream/natstest"
	"github.com/nats-io/nats.go"
)

// TestSilentServer: a server that does not answer a read leaves time to ask the leader, however many
// messages were asked for.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	nc, err := nats.Connect("nats://" + natstest.Deaf(t, "2.12.0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	for _, most := range []int{1, 2} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*tryFor)
			defer cancel()
			err := (&log{Ground: &Ground{nc: nc}}).Scan(ctx, 1, most, nil)
			if err == nil || ctx.Err() != nil {
				t.Errorf("scan = %v, and the time for all tries is over: %v", err, ctx.Err())
			}
		})
	}
}

// TestAccountRoom: the room for messages that are kept three times, by what the servers say of an account.
// They multiply the limit of a tier by the copies, and that of an account not.
func TestAccountRoom(t *testing.T) {
	for _, tt := range []struct {
		name, told string
		left       int64
		limited    bool
	}{
		{"no limit", `{"storage":300,"limits":{"max_storage":-1}}`, 0, false},
		{"a limit", `{"storage":300,"limits":{"max_storage":900}}`, 200, true},
		{"it is full", `{"storage":900,"limits":{"max_storage":900}}`, 0, true},
		{"it is fuller", `{"storage":901,"limits":{"max_storage":900}}`, 0, true},
		{"tiers", `{"limits":{},"tiers":{"R1":{"storage":1,"limits":{"max_storage":2}},"R3":{"storage":300,"limits":{"max_storage":900}}}}`,
			800, true},
		{"a tier that is full", `{"tiers":{"R3":{"storage":2700,"limits":{"max_storage":900}}}}`, 0, true},
		{"a tier without a limit", `{"tiers":{"R3":{"storage":2700,"limits":{"max_storage":-1}}}}`, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a account
			if err := json.Unmarshal([]byte(tt.told), &a); err != nil {
				t.Fatal(err)
			}
			if left, limited := a.room(3); left != tt.left || limited != tt.limited {
				t.Errorf("room = %d, %v; want %d, %v", left, limited, tt.left, tt.limited)
			}
		})
	}
}
