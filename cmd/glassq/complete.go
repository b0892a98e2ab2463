package main

import (
	"context"
	"time"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/client"
	"github.com/glassq/glassq/internal/check"
	"github.com/glassq/glassq/internal/fetch"
	"github.com/spf13/cobra"
)

// completeWait bounds what a shell waits for names.
const completeWait = time.Second

// flagWords are the values of flags that take one of a few words.
var flagWords = map[string][]string{
	"by":       {"host", "code", "err", "worker", "label:"},
	"door":     check.Doors(),
	"engine":   {"auto", "fast", "std"},
	"format":   {"text", "csv", "ndjson", "vegeta"},
	"halt":     {"never", "soon,fail=1", "now,fail=1", "soon,fail=10%", "now,success=1"},
	"insecure": {"http", "memcached", "manager"},
	"may":      {"put", "work", "read", "admin"},
	"profile":  {"measure", "fetch"},
	"save":     {fetch.CaptureOff, fetch.CaptureHash, fetch.CaptureText, fetch.CaptureFile},
	"state":    {"ready", "delayed", "leased", "dead"},
	"summary":  {"text", "json"},
	"sync":     {"always", "interval", "never"},
	"tls-min":  {"1.2", "1.3"},
	"why":      {glassq.DeadAttempts, glassq.DeadNacked},
	"until":    {"exists", "complete", "drained"},
}

// completeNames makes the arguments and flags of cmd and of those below it complete to live names:
// QUEUE and --queue to queues, RUN and --run to runs. A server that does not answer has none.
func (a *app) completeNames(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.completeNames(sub)
	}
	for flag, list := range map[string]func(context.Context, *client.Client) ([]string, error){
		"queue": queueNames, "results": queueNames, "run": runNames, "until-done": runNames,
	} {
		if f := cmd.Flags().Lookup(flag); f != nil && f.Value.Type() == "string" && cmd.Flags().Lookup("server") != nil {
			cmd.RegisterFlagCompletionFunc(flag, a.complete(list)) // it refuses only what is registered already
		}
	}
	for flag, words := range flagWords {
		if cmd.Name() == "output" && flag == "format" {
			words = []string{"text", "ndjson", "csv", "template", "none"}
		}
		if cmd.Flags().Lookup(flag) != nil {
			cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	if cmd.Parent() == nil || cmd.Flags().Lookup("server") == nil || cmd.ValidArgsFunction != nil {
		return
	}
	var list func(context.Context, *client.Client) ([]string, error)
	switch cmd.Parent().Name() {
	case "queue":
		list = queueNames
	case "runs":
		list = runNames
	default:
		if cmd.Name() != "explain" {
			return
		}
		list = queueNames
	}
	names := a.complete(list)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 || cmd.Name() == "ls" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd, args, prefix)
	}
}

// completionExamples gives the commands that print scripts for shells their examples.
func completionExamples(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		cmd.Example = "  source <(glassq completion bash)"
		cmd.Args, cmd.RunE = noCommand, showHelp
		for _, shell := range cmd.Commands() {
			shell.Example = map[string]string{
				"bash":       "  source <(glassq completion bash)",
				"zsh":        "  source <(glassq completion zsh)",
				"fish":       "  glassq completion fish | source",
				"powershell": "  glassq completion powershell | Out-String | Invoke-Expression",
			}[shell.Name()]
		}
	}
}

func (a *app) complete(list func(context.Context, *client.Client) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		if a.begin(cmd, nil) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		text := func(flag string) string { return cmd.Flags().Lookup(flag).Value.String() }
		r := remote{server: text("server"), keyFile: text("key-file"), ca: text("ca")}
		q, err := a.dial(cmd, &r, 0)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer q.Close()
		ctx, cancel := context.WithTimeout(context.Background(), completeWait)
		defer cancel()
		names, err := list(ctx, q)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func queueNames(ctx context.Context, q *client.Client) (names []string, err error) {
	queues, err := q.Queues(ctx)
	for i := range queues {
		names = append(names, queues[i].Name)
	}
	return names, err
}

func runNames(ctx context.Context, q *client.Client) (names []string, err error) {
	runs, err := q.Runs(ctx)
	for i := range runs {
		names = append(names, runs[i].Name)
	}
	return names, err
}
