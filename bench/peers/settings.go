package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

// packages are what Debian has, and the program by which it is seen to be there. The versions are those of Debian 12,
// with which the texts of this folder were written.
var packages = []struct{ name, program, version string }{
	{"redis-server", "redis-server", "7.0.15"},
	{"beanstalkd", "beanstalkd", "1.12"},
	{"rabbitmq-server", rabbitProgram, "3.10.8"},
	{"postgresql", "", "15"},
	{"python3", "python3", "3.11"},
}

// tools are what go.mod of this folder pins as tools.
var tools = []string{"github.com/nats-io/nats-server/v2", "github.com/nsqio/nsq/apps/nsqd",
	"github.com/contribsys/faktory/cmd/faktory"}

// settings are all that can be measured here, Glassq first, and what is missing for the others.
func (e *env) settings() (all []*setting, missing []string, err error) {
	here := map[string]bool{}
	for _, p := range packages {
		if here[p.name] = found(p.program); !here[p.name] && *install {
			fmt.Printf("installing %s\n", p.name)
			cmd := exec.CommandContext(e.ctx, "apt-get", "install", "-q", "-y", "--no-install-recommends", p.name)
			cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1") // installed, not started
			if out, err := cmd.CombinedOutput(); err != nil {
				return nil, nil, fmt.Errorf("apt-get install %s: %w: %s", p.name, err, out)
			}
			here[p.name] = found(p.program)
		}
		if !here[p.name] {
			missing = append(missing, "Debian's "+p.name+": apt-get install "+p.name)
		}
	}
	bin, err := filepath.Abs(filepath.Join(*root, "bin", "peers")) // kept, so that the following run need not link again
	if err != nil {
		return nil, nil, err
	}
	glassq := filepath.Join(bin, "glassq")
	if err := e.build(*root, glassq, "./cmd/glassq"); err != nil {
		return nil, nil, err
	}
	built := map[string]string{}
	for _, t := range tools {
		path := filepath.Join(bin, filepath.Base(strings.TrimSuffix(t, "/v2")))
		if err := e.build(".", path, t); err != nil {
			missing = append(missing, err.Error())
			continue
		}
		built[t] = path
	}
	all = []*setting{glassqSetting(e, glassq, "always"), glassqSetting(e, glassq, "interval")}
	if here["redis-server"] {
		all = append(all, redisSetting("always"), redisSetting("everysec"))
	}
	if here["beanstalkd"] {
		all = append(all, beanstalkSetting("-f0", "-f0"), beanstalkSetting("default"))
	}
	if here["rabbitmq-server"] {
		all = append(all, rabbitSetting())
	}
	if p := built[tools[0]]; p != "" {
		all = append(all, natsSetting(p, "always"), natsSetting(p, ""))
	}
	if here["postgresql"] {
		bin, err := findPostgres()
		if err != nil {
			return nil, nil, err
		}
		all = append(all, postgresSetting(bin), riverSetting(bin))
	}
	if p := built[tools[1]]; p != "" {
		all = append(all, nsqSetting(p))
	}
	if p := built[tools[2]]; p != "" && here["redis-server"] {
		all = append(all, faktorySetting(p))
	}
	if here["redis-server"] {
		all = append(all, asynqSetting())
	}
	if here["python3"] {
		all = append(all, pythonSetting())
	}
	return filter(all), missing, nil
}

func filter(all []*setting) (kept []*setting) {
	for _, s := range all {
		for _, part := range strings.Split(*only, ",") {
			if strings.Contains(strings.ToLower(s.Name), strings.ToLower(part)) {
				kept = append(kept, s)
				break
			}
		}
	}
	return kept
}

func found(program string) bool {
	if program == "" {
		_, err := findPostgres()
		return err == nil
	}
	_, err := exec.LookPath(program)
	return err == nil
}

func (e *env) build(dir, path, pkg string) error {
	cmd := exec.CommandContext(e.ctx, "go", "build", "-trimpath", "-o", path, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", pkg, err, out)
	}
	return nil
}

var number = regexp.MustCompile(`v?\d+\.\d+[\w.+-]*`)

// said is the version that a program prints.
func said(program string, arg string) string {
	out, err := exec.Command(program, arg).CombinedOutput()
	if v := number.FindString(string(out)); err == nil && v != "" {
		return v
	}
	return strings.TrimSpace(string(out))
}

// revision is the commit that is measured, with a plus where the folder has changes.
func revision() string {
	out, err := exec.Command("git", "-C", *root, "describe", "--tags", "--always", "--dirty=+").Output()
	if err != nil {
		return "this tree"
	}
	return strings.TrimSpace(string(out))
}

func packageVersion(name string) string {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", name).Output()
	if err != nil {
		return "unknown"
	}
	return string(out)
}

func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return ""
}
