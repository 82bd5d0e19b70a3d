package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A process is this program once more, in another part. Its standard input stays
// open as long as it shall run.
type process struct {
	cmd    *exec.Cmd
	pid    int
	stdin  io.Closer
	stdout io.Reader
}

// begin starts the program. What it says on standard error goes to a file.
func begin(ctx context.Context, program, log string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Args[0] = "pando"
	stderr, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer stderr.Close() // the process has its own
	cmd.Stderr = stderr
	p := &process{cmd: cmd}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.stdout, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// decode reads a value in JSON from what the process writes.
func (p *process) decode(v any) error {
	return json.UnmarshalDecode(jsontext.NewDecoder(p.stdout), v)
}

// How long a process may take to end by itself.
const patience = 30 * time.Second

// end asks the process to end and waits until it has.
func (p *process) end() error {
	p.stdin.Close()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	late := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	io.Copy(io.Discard, p.stdout)
	err := p.cmd.Wait()
	if _, status := errors.AsType[*exec.ExitError](err); status { // how it ended is no result
		return nil
	}
	return err
}

// tick is the unit of CPU time in /proc, USER_HZ, which is 100 on every
// architecture that Go runs on.
const tick = 10 * time.Millisecond

// cpu returns the CPU time that the process has used, user and system.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; utime and stime are the 14th
	// and 15th field, the 12th and 13th after it.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("/proc has no CPU times")
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// memory returns a figure of /proc/PID/status in MiB: VmRSS or VmHWM.
func (p *process) memory(figure string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, figure+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return float64(kib) / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc has no %s", figure)
}

// lastWords returns the end of what a process said on standard error.
func lastWords(dir, log string) string {
	text, err := os.ReadFile(filepath.Join(dir, log))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-1000):]))
}
