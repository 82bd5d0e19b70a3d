//go:build system

package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestInterruptedPrompt presses Ctrl-C at each question of a ceremony: the command
// ends, nothing is made, and the terminal echoes again.
func TestInterruptedPrompt(t *testing.T) {
	for _, c := range []struct {
		question string
		flags    []string
	}{
		{"Type yes to go on:", nil},
		{"Passphrase of the root:", []string{"--yes"}},
	} {
		t.Run(c.question, func(t *testing.T) {
			dir := t.TempDir()
			master, slave := openTerminal(t)
			cmd := exec.Command(os.Getenv(binaryVariable), append([]string{"ceremony", "root", "--common-name", "Root", "--organization", "Example",
				"--mode", "test", "--out", filepath.Join(dir, "root.sealed"), "--certificate", filepath.Join(dir, "root.pem")}, c.flags...)...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			guard := time.AfterFunc(hung, func() { cmd.Process.Kill() })
			defer guard.Stop()
			said := readUntil(t, master, c.question)
			if _, err := master.Write([]byte{3}); err != nil { // Ctrl-C
				t.Fatal(err)
			}
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("exit status %d, %v, after %q", cmd.ProcessState.ExitCode(), err, said)
			}
			if mode, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS); err != nil || mode.Lflag&unix.ECHO == 0 {
				t.Errorf("the terminal does not echo any more: %v", err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// readUntil reads what a terminal shows up to and with text.
func readUntil(t *testing.T, terminal *os.File, text string) string {
	t.Helper()
	var said strings.Builder
	b := make([]byte, 1024)
	for !strings.Contains(said.String(), text) {
		n, err := terminal.Read(b)
		if err != nil {
			t.Fatalf("%v after %q", err, said.String())
		}
		said.Write(b[:n])
	}
	return said.String()
}
