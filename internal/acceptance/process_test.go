//go:build system

package acceptance

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// After these times a process is taken to hang, however busy the machine is: one that
// should have ended, or have played the story, and a server that should be ready.
const (
	hung = 3 * time.Minute
	late = 2 * time.Minute
)

// A process is a running program. It is killed when its test ends, at the latest.
type process struct {
	cmd     *exec.Cmd
	started time.Time
	ended   chan struct{}
}

// start starts a program whose output is appended to a file.
func start(t *testing.T, logFile string, name string, args ...string) *process {
	t.Helper()
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has its own
	p := &process{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		// The exit status is in ProcessState; Wait's other errors concern
		// copying, of which there is none.
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() { p.kill(t) })
	return p
}

// signal sends a signal; a process that has ended gets none.
func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// kill ends the process as a crash would, and waits until it is gone.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.ended
}

// stop asks the process to end, waits until it has and returns its exit status.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	return p.wait(t)
}

// wait waits until the process has ended and returns its exit status.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	return p.within(t, hung)
}

// within is wait for a process that may take long.
func (p *process) within(t *testing.T, long time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(long):
		t.Fatalf("%s did not end in %s", p.cmd, long)
	}
	return p.cmd.ProcessState.ExitCode()
}

// memory returns a figure of /proc/PID/status in bytes: VmRSS, what the process
// has in memory, or VmHWM, the most that it ever had.
func (p *process) memory(t *testing.T, figure string) int64 {
	t.Helper()
	n, ok := memoryOf(t, p.cmd.Process.Pid, figure)
	if !ok {
		t.Fatalf("/proc has no %s", figure)
	}
	return n
}

// memoryOf returns a figure of a process, if it has one still.
func memoryOf(t *testing.T, pid int, figure string) (bytes int64, ok bool) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return 0, false
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, figure+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10, true
		}
	}
	return 0, false
}

// A cpuTime is what the machine's processors did since it was started, in ticks.
type cpuTime struct{ busy, all int64 }

func machineCPU(t *testing.T) (c cpuTime) {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line)[1:9] { // proc(5): user, nice, system, idle, iowait, irq, softirq, steal
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if c.all += n; i != 3 && i != 4 {
			c.busy += n
		}
	}
	return c
}

// left returns the part of the machine's processors that others left to the process since
// a time.
func (p *process) left(t *testing.T, since cpuTime) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	own := int64(0)
	for _, field := range strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))[11:13] { // proc(5): utime and stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		own += n
	}
	now := machineCPU(t)
	return 1 - float64(now.busy-since.busy-own)/float64(now.all-since.all)
}

func mib(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }

// An output is what a command that has ended wrote, and its exit status.
type output struct {
	stdout, stderr string
	status         int
}

// run runs a command in a directory to its end.
func run(t *testing.T, dir, name string, args ...string) output {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if _, ended := errors.AsType[*exec.ExitError](err); !ended {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// expect runs a command, which must succeed and say each of want, and returns
// its standard output.
func expect(t *testing.T, dir string, want []string, name string, args ...string) string {
	t.Helper()
	out := run(t, dir, name, args...)
	if out.status != 0 {
		t.Errorf("%s %.300s: exit status %d\n%.4000s%.4000s", name, strings.Join(args, " "), out.status, out.stdout, out.stderr)
	}
	for _, w := range want {
		if !strings.Contains(out.stdout+out.stderr, w) {
			t.Errorf("%s %.300s does not say %q:\n%.4000s%.4000s", name, strings.Join(args, " "), w, out.stdout, out.stderr)
		}
	}
	return out.stdout
}

// pando runs the pando that is tested to its end.
func pando(t *testing.T, args ...string) output {
	t.Helper()
	return run(t, "", os.Getenv(binaryVariable), args...)
}
