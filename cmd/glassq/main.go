// Command glassq is a task queue that everyone can see through: a queue server, a dispatcher,
// workers and an output in one binary.
//
// The commands are wiring: they turn flags, environment and signals into calls of the rooms below,
// and errors into sentences and exit codes. One file holds one command.
package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/glassq/glassq"
	"github.com/glassq/glassq/internal/cli/config"
	"github.com/glassq/glassq/internal/cli/term"
	"github.com/glassq/glassq/internal/plain"
	"github.com/spf13/cobra"
)

func main() {
	a := &app{in: os.Stdin, out: os.Stdout, console: term.NewConsole(os.Stderr)}
	os.Exit(a.main(os.Args[1:]))
}

// An app is one call of the program.
type app struct {
	in      *os.File
	out     *os.File
	console *term.Console
	args    []string       // of the command line
	hangup  func()         // what SIGHUP does; nil: it ends the program as Ctrl-C does. Set before interruptible
	begun   bool           // flags and arguments were accepted, the command runs
	origins config.Origins // of the flags of the command; nil before begin
	serving *serveFlags    // of the serve command, which doctor looks at too
	leave   func()         // ends what would outlive a program that leaves at once; nil for nothing. Set before interruptible
}

// main runs the command that args name and returns the exit code.
func (a *app) main(args []string) int {
	a.args = args
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitFine
	}
	code := exitCode(err)
	if !a.begun && code == exitUnexpected {
		code = exitUsage
	}
	if text := sentence(err); text != "" {
		if code == exitUsage {
			text += a.origins.Behind(cmd.Flags(), text)
		}
		if glassq.CodeOf(err) == glassq.CodeTooLarge && cmd.Flags().Lookup("server") != nil {
			text += "; serve --max-body is the limit of a server"
		}
		a.console.Note(slog.LevelError, cmd.CommandPath()+": "+text, "ended by an error", "err", text, "exit", code)
	}
	if !a.begun && cmd.CommandPath() != "" {
		a.console.Say("%s --help tells what there is", cmd.CommandPath())
	}
	return code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:     "glassq",
		Short:   "A task queue that everyone can see through",
		Version: versionLine(),
		Long: `A server, a dispatcher, workers and an output, in one binary.

Every flag has an environment variable: --key-file is GLASSQ_KEY_FILE; and a place in the configuration
file, which glassq config --help explains. A flag wins over the environment, and that over the file.

Exit codes: 0 fine, 1 unexpected, 2 usage, 3 a --fail-if rule is broken, 4 not one task of the run went
well, or with --strict not every one, 5 the books do not balance, 6 server unreachable or refused, 7
interrupted, or nobody reads the output any more, and drained, 8 storage failed or damaged. 4 is for
programs that see the end of a run: run, output --run, dispatch --wait, runs wait, work --until-done. A
program that has no end of its own, such as serve, ends with 0 when it is stopped.`,
		Example: `  glassq run 'http://127.0.0.1:8888/?q={0}' -n 1000000    all in one process
  glassq demo                                             all as processes of their own, with a target`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              noCommand,
		RunE:              showHelp,
		PersistentPreRunE: a.begin,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.console)
	root.SetFlagErrorFunc(config.FlagError)
	root.PersistentFlags().String("config", "", "`file` with settings, by command; default $XDG_CONFIG_HOME/glassq/config.toml")
	root.AddCommand(
		a.serveCmd(), a.dispatchCmd(), a.workCmd(), a.outputCmd(), a.compareCmd(), a.runCmd(), a.targetCmd(), a.demoCmd(),
		a.queueCmd(), a.runsCmd(), a.scheduleCmd(),
		a.putCmd(), a.getCmd(), a.schemaCmd(), a.checkCmd(), a.versionCmd(), a.configCmd(),
		a.manCmd(),
		a.repairCmd(), a.backupCmd(), a.restoreCmd(), a.doctorCmd(), a.topCmd(), a.tokenCmd(), a.certCmd(), a.tunnelCmd(),
		a.explainCmd(), a.reloadCmd(), a.auditCmd(), a.keysCmd(), a.pyCmd(),
	)
	a.completeNames(root)
	completionExamples(root)
	helpFirst(root)
	return root
}

// begin fills in what the file and the environment say, once flags and arguments were accepted.
func (a *app) begin(cmd *cobra.Command, _ []string) error {
	var err error
	if a.origins, err = config.Settle(cmd); err != nil {
		return err
	}
	a.begun = true
	if f := cmd.Flags().Lookup("log-format"); f != nil && f.Value.String() == formatJSON {
		a.console.SetJSON()
	}
	for _, text := range config.Misspelt(cmd.Root(), os.Environ()) {
		a.console.Note(slog.LevelWarn, cmd.CommandPath()+": "+text, "a variable is probably misspelt", "says", text)
	}
	return a.oneFileEach(cmd)
}

// noCommand refuses arguments of a command that only holds others: they are misspelt names.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("there is no command %q", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef("%s", text)
}

// showHelp is what a command that only holds others does.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// group is a command that only holds others. Its examples are the first ones of theirs.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: noCommand, RunE: showHelp}
	var examples []string
	for _, sub := range commands {
		first, _, _ := strings.Cut(sub.Example, "\n")
		examples = append(examples, first)
	}
	cmd.Example = strings.Join(examples, "\n")
	cmd.AddCommand(commands...)
	return cmd
}

// meter starts a meter; data says that standard output has data of this command.
func (a *app) meter(label string, quiet, data bool) *term.Meter {
	return a.console.Meter(label, a.meterOptions(quiet, data))
}

// runMeter is meter for all of a run.
func (a *app) runMeter(label string, quiet, data bool, q term.Teller, run string) *term.Meter {
	return a.console.RunMeter(label, a.meterOptions(quiet, data), q, run)
}

func (a *app) meterOptions(quiet, data bool) term.MeterOptions {
	if !data {
		return term.MeterOptions{Quiet: quiet}
	}
	return term.MeterOptions{Quiet: quiet, Data: a.out}
}

// printf writes data to standard output.
func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.text(), format, args...)
	return err
}

// text is where what people read goes: nothing from elsewhere does anything to a terminal.
func (a *app) text() io.Writer { return plain.Writer(a.out) }

// data is where what programs read goes: as it is, unless it is a terminal that it would go to.
func (a *app) data() io.Writer {
	if term.IsTerminal(a.out) {
		return a.text()
	}
	return a.out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
