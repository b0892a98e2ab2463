package term

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgress(t *testing.T) {
	for _, tt := range []struct {
		terminal bool
		want     []string
	}{
		{true, []string{"\r\x1b[Kput [", "] 500 of 1,000 (50%)", "left", "500/s", "full\n"}},
		{false, []string{"put 500 of 1,000 (50%)  50/s  10s left  full\n", "  42/s  in 12s  full\n"}},
	} {
		t.Run(fmt.Sprint("terminal ", tt.terminal), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				p := newProgress(&out, tt.terminal, "put")
				p.setNote("full")
				if tt.terminal {
					time.Sleep(500 * time.Millisecond)
				}
				p.set(500, 1000)
				p.set(400, 1000) // overtaken
				time.Sleep(12 * time.Second)
				if tt.terminal {
					p.set(6250, 1000)
				}
				p.close()
				p.close()
				for _, want := range tt.want {
					if !strings.Contains(out.String(), want) {
						t.Errorf("progress = %q, want %q in it", out.String(), want)
					}
				}
			})
		})
	}
}
