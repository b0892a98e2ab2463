package main

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/glassq/glassq/internal/broker"
)

// A serviceManager is told how the server is, by systemd's protocol (sd_notify(3)). Where there is
// none, as on other systems and in a terminal, nothing is told.
type serviceManager struct{ done chan struct{} }

// ready tells that the doors are open, and from then on, when a watchdog waits for it
// (WatchdogSec=), that the queue answers: a server whose engine hangs is started again. When ctx
// ends it tells that the server stops.
func ready(ctx context.Context, b *broker.Broker) *serviceManager {
	tell(daemon.SdNotifyReady)
	m := &serviceManager{make(chan struct{})}
	go func() {
		defer close(m.done)
		defer tell(daemon.SdNotifyStopping)
		every, err := daemon.SdWatchdogEnabled(false)
		if err != nil || every == 0 {
			<-ctx.Done()
			return
		}
		for tick := time.NewTicker(every / 3); ; {
			b.Stats(ctx) // a refusal is an answer, too: a gateway may have heard of no owner for long
			tell(daemon.SdNotifyWatchdog)
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	}()
	return m
}

// wait returns when the stop was told; ctx must have ended.
func (m *serviceManager) wait() { <-m.done }

// tell has no error worth a word: what the service manager did not hear it finds out by itself.
func tell(state string) { _, _ = daemon.SdNotify(false, state) }
