package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// rateSuite has two workers keep one rate, and counts the requests by the second they began in.
func rateSuite(b *bench) error {
	const rate, seconds = 5000, 20
	ctx, dir, bin := b.ctx, b.dir, b.glassq
	web, err := start(ctx, bin, "target", "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer web.stop()
	target := "http://" + web.addr + "/"
	server, err := start(ctx, bin, "serve", "--data", filepath.Join(dir, "rate"), "--http", "127.0.0.1:0", "--sync",
		*syncs)
	if err != nil {
		return err
	}
	defer server.stop()
	url := "http://" + server.addr
	for range 2 {
		w, err := start(ctx, bin, "work", "http", "--server", url)
		if err != nil {
			return err
		}
		defer w.stop()
	}
	out := filepath.Join(dir, "rate.ndjson")
	if _, _, err := timed(bin, "dispatch", "--server", url, "--run", "rate", target+"?q={0}", "-n",
		strconv.Itoa(rate*seconds),
		"--rate", strconv.Itoa(rate), "--wait", "--out", out, "--quiet"); err != nil {
		return err
	}
	began, err := beginnings(out)
	if err != nil {
		return err
	}
	span := began[len(began)-1] - began[0]
	full := make([]float64, int(span))
	for _, t := range began {
		if i := int(t - began[0]); i < len(full) {
			full[i]++
		}
	}
	sum, most := 0.0, 0.0
	for _, n := range full {
		sum += (n - rate) * (n - rate)
		most = math.Max(most, math.Abs(n-rate))
	}
	fmt.Printf("rate %d/s over two workers for %d s, sync %s: %.1f/s (%+.3f %%), per second: deviation %.2f %%, at most %.2f %%\n",
		rate, seconds, *syncs, float64(len(began)-1)/span, (float64(len(began)-1)/span/rate-1)*100,
		math.Sqrt(sum/float64(len(full)))/rate*100, most/rate*100)
	return nil
}

// beginnings are the moments when requests began, in ascending order.
func beginnings(path string) ([]float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []float64
	for in := bufio.NewScanner(f); in.Scan(); {
		var r struct{ O struct{ T float64 } }
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return nil, err
		}
		all = append(all, r.O.T)
	}
	if len(all) < 2 {
		return nil, fmt.Errorf("%s has %d results", path, len(all))
	}
	slices.Sort(all)
	return all, nil
}
