package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func postgresSetting(bin string) *setting {
	return &setting{about: about{Name: "PostgreSQL, SKIP LOCKED", Peer: "PostgreSQL", Client: "pgx",
		Version: said(filepath.Join(bin, "postgres"), "--version"),
		Set:     "defaults of initdb, 200 connections; COPY for many, select … for update skip locked, delete, commit",
		Stored:  "all of it: the commit waits for its sync", Synced: true,
		Kept: "inserted in the transaction of the delete"}, depth: 2048, slowStart: 2 * time.Second,
		start: startPostgres(bin), prepare: preparePostgres, dial: dialPostgres}
}

// startPostgres starts a cluster of its own, which the first start makes.
func startPostgres(bin string) func(*env, string) (*server, error) {
	return func(_ *env, dir string) (*server, error) {
		var as *syscall.Credential
		if os.Getuid() == 0 { // which PostgreSQL refuses
			u, err := user.Lookup("postgres")
			if err != nil {
				return nil, err
			}
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
			if err := os.Chown(dir, uid, gid); err != nil {
				return nil, err
			}
		}
		data := filepath.Join(dir, "data")
		if _, err := os.Stat(data); err != nil {
			cmd := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-N")
			cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
			if out, err := cmd.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("initdb: %w: %s", err, out)
			}
		}
		r := &server{addr: freeAddr()}
		return r, r.as(as, dir, nil, filepath.Join(bin, "postgres"), "-D", data, "-p", port(r.addr), "-h", "127.0.0.1",
			"-k", dir, "-c", "max_connections=200")
	}
}

func postgresURL(s *server) string {
	return "postgres://postgres@" + s.addr + "/postgres?sslmode=disable"
}

func preparePostgres(ctx context.Context, s *server) error {
	c, err := pgx.Connect(ctx, postgresURL(s))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for _, q := range queues {
		if _, err := c.Exec(ctx, "create table "+q+" (id bigserial primary key, body bytea not null)"); err != nil {
			return err
		}
	}
	return nil
}

type table struct {
	*pgx.Conn
	queue string
}

func dialPostgres(ctx context.Context, s *server, queue string, _ bool) (conn, error) {
	c, err := pgx.Connect(ctx, postgresURL(s))
	if err != nil {
		return nil, err
	}
	return &table{c, queue}, nil
}

func (t *table) Close() { t.Conn.Close(context.Background()) }

func (t *table) Put(ctx context.Context, bodies [][]byte) error {
	if len(bodies) == 1 {
		_, err := t.Exec(ctx, "insert into "+t.queue+" (body) values ($1)", bodies[0])
		return err
	}
	_, err := t.CopyFrom(ctx, pgx.Identifier{t.queue}, []string{"body"},
		pgx.CopyFromSlice(len(bodies), func(i int) ([]any, error) { return []any{bodies[i]}, nil }))
	return err
}

func (t *table) Turn(ctx context.Context, max int, result bool) (int, error) {
	tx, err := t.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // nothing after a commit
	rows, err := tx.Query(ctx, "select id, body from "+t.queue+" order by id for update skip locked limit $1", max)
	if err != nil {
		return 0, err
	}
	var ids []int64
	var id int64
	var body []byte
	if _, err := pgx.ForEachRow(rows, []any{&id, &body}, func() error { ids = append(ids, id); return nil }); err != nil {
		return 0, err
	}
	if len(ids) == 0 {
		time.Sleep(5 * time.Millisecond) // such a loop polls
		return 0, nil
	}
	var end pgx.Batch
	if result {
		end.Queue("insert into "+results+" (body) select $2 from unnest($1::bigint[])", ids, []byte(answer))
	}
	end.Queue("delete from "+t.queue+" where id = any($1)", ids)
	if err := tx.SendBatch(ctx, &end).Close(); err != nil {
		return 0, err
	}
	return len(ids), tx.Commit(ctx)
}

// findPostgres is the folder of the newest PostgreSQL that Debian or PATH has.
func findPostgres() (string, error) {
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if path, err := exec.LookPath("postgres"); err == nil {
		all = append(all, path)
	}
	all = slices.DeleteFunc(all, func(p string) bool {
		_, err := os.Stat(filepath.Join(filepath.Dir(p), "initdb"))
		return err != nil
	})
	if len(all) == 0 {
		return "", fmt.Errorf("no initdb and postgres in /usr/lib/postgresql or on PATH")
	}
	return filepath.Dir(all[0]), nil
}

// pool is the one pool of a server for clients that share it.
func pool(ctx context.Context, s *server) (*pgxpool.Pool, error) {
	if p, ok := s.pool.(*pgxpool.Pool); ok {
		return p, nil
	}
	conf, err := pgxpool.ParseConfig(postgresURL(s))
	if err != nil {
		return nil, err
	}
	conf.MaxConns = 100
	p, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, err
	}
	if err := p.Ping(ctx); err != nil {
		p.Close()
		return nil, err
	}
	s.pool, s.close = p, p.Close
	return p, nil
}
