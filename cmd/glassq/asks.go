package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"text/tabwriter"

	"github.com/glassq/glassq/client"
	"github.com/spf13/cobra"
)

// asks makes cmd a command that asks a server once, with the flags of a remote and with --json, whose
// help text is jsonHelp. It returns cmd.
func (a *app) asks(cmd *cobra.Command, jsonHelp string,
	do func(ctx context.Context, q *client.Client, args []string, asJSON bool) error) *cobra.Command {
	var r remote
	r.flags(cmd)
	asJSON := cmd.Flags().Bool("json", false, jsonHelp)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.oneShot(cmd, &r, func(q *client.Client) error { return do(cmd.Context(), q, args, *asJSON) })
	}
	return cmd
}

// oneShot runs do with a client that fails at once when the server is away.
func (a *app) oneShot(cmd *cobra.Command, r *remote, do func(*client.Client) error) error {
	q, err := a.dial(cmd, r, 0)
	if err != nil {
		return err
	}
	defer q.Close()
	return r.absent(do(q))
}

// answer prints v as JSON, or a line for people.
func (a *app) answer(asJSON bool, v any, format string, args ...any) error {
	if asJSON {
		return a.printJSON(v)
	}
	return a.printf(format+"\n", args...)
}

// printJSON prints v as a line of JSON.
func (a *app) printJSON(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = a.data().Write(append(line, '\n'))
	return err
}

// A lister prints what each calls its argument with: an object of JSON a line, or a table.
type lister[T any] struct {
	each  func(func(*T) error) error
	head  string         // names of the columns, with tabs between them; "" for none
	align uint           // of tabwriter; 0 is left
	row   func(*T) []any // a value a column
}

// eachOf is what the lister of a list goes through.
func eachOf[T any](list []T) func(func(*T) error) error {
	return func(one func(*T) error) error {
		for i := range list {
			if err := one(&list[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

// print prints all; of a table, also what came before an error, and nothing where nothing did.
func (l lister[T]) print(a *app, asJSON bool) error {
	if asJSON {
		return l.each(func(v *T) error { return a.printJSON(v) })
	}
	w := tabwriter.NewWriter(a.text(), 0, 0, 2, ' ', l.align)
	head := sync.OnceFunc(func() {
		if l.head != "" {
			fmt.Fprintln(w, l.head)
		}
	})
	err := l.each(func(v *T) error {
		head()
		for i, cell := range l.row(v) {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
		return nil
	})
	if err == nil {
		head()
	}
	return errors.Join(err, w.Flush())
}
