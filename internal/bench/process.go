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
)

// A process is this program once more, in another part. Its standard input stays
// open as long as it shall run.
type process struct {
	cmd    *exec.Cmd
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
	return p, cmd.Start()
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
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
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

// lastWords returns the end of what a process said on standard error.
func lastWords(dir, log string) string {
	text, err := os.ReadFile(filepath.Join(dir, log))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-1000):]))
}
