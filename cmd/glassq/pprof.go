package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"
)

// checkProfiler refuses an address of --pprof that others can reach: profiles show what a server
// has in memory.
func checkProfiler(addr string) error {
	if addr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("--pprof %s is not an address like 127.0.0.1:6060", addr)
	}
	if !isLoopback(host) {
		return usagef("--pprof %s can be reached from other machines, and a profile shows what is in memory: "+
			"listen on 127.0.0.1, and come through ssh -L", addr)
	}
	return nil
}

// profiler serves Go's profiler, if it is asked for, until stop, which waits for its end.
func (f *serveFlags) profiler() (stop func(), err error) {
	if f.pprof == "" {
		return func() {}, nil
	}
	ln, err := net.Listen("tcp", f.pprof)
	if err != nil {
		return nil, &exitError{exitUnexpected, err}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			host, _, err := net.SplitHostPort(r.Host) // a page whose name leads here must not read it
			if err != nil {
				host = r.Host
			}
			if !isLoopback(host) {
				http.Error(rw, "call it by localhost or 127.0.0.1", http.StatusForbidden)
				return
			}
			mux.ServeHTTP(rw, r)
		})}
	f.logger.Info("profiler open", "addr", ln.Addr().String())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			f.logger.Warn("profiler ended", "err", err)
		}
	})
	return func() {
		server.Close()
		wg.Wait()
	}, nil
}
