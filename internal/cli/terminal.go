package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/pando-pki/pando/internal/pki"
	"golang.org/x/term"
)

// errNoTerminal is returned by what can only be asked of a person.
var errNoTerminal = errors.New("there is no terminal to ask on")

// withTerminal calls f with the controlling terminal, so that a person can be
// asked while standard input and output are files or pipes. An interrupt ends the
// question and leaves the terminal as it was.
func withTerminal(f func(tty *os.File) error) error {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return errNoTerminal
	}
	defer tty.Close()
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return errNoTerminal
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupted)
	answered := make(chan error, 1)
	go func() { answered <- f(tty) }()
	select {
	case err := <-answered:
		return err
	case <-interrupted:
		fmt.Fprintln(tty)
		return errors.Join(errors.New("interrupted; nothing was done"), term.Restore(int(tty.Fd()), before))
	}
}

// askPassphrase asks for a passphrase without echo; where a second prompt is
// given it is asked for again, and both must be equal.
func askPassphrase(prompt, again string) (pki.Secret, error) {
	var secret pki.Secret
	err := withTerminal(func(tty *os.File) error {
		first, err := askHidden(tty, prompt)
		if err != nil || again == "" {
			secret = pki.NewSecret(string(first))
			return err
		}
		second, err := askHidden(tty, again)
		if err != nil {
			return err
		}
		if !bytes.Equal(first, second) {
			return errors.New("the two passphrases are not the same")
		}
		secret = pki.NewSecret(string(first))
		return nil
	})
	if errors.Is(err, errNoTerminal) {
		return secret, hintf(err, "give the passphrase in a file of mode 0600 with --passphrase-file")
	}
	return secret, err
}

func askHidden(tty *os.File, prompt string) ([]byte, error) {
	fmt.Fprintf(tty, "%s: ", prompt)
	defer fmt.Fprintln(tty)
	return term.ReadPassword(int(tty.Fd()))
}

// confirm asks for the word "yes"; any other answer is an error.
func confirm(question string) error {
	err := withTerminal(func(tty *os.File) error {
		fmt.Fprintf(tty, "%s Type yes to go on: ", question)
		answer, err := bufio.NewReader(tty).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if strings.TrimSpace(answer) != "yes" {
			return errors.New("not confirmed; nothing was done")
		}
		return nil
	})
	if errors.Is(err, errNoTerminal) {
		return hintf(fmt.Errorf("%w: %s", err, question), "check that, then say --yes")
	}
	return err
}

// maxSecretFile is the most that a file with a passphrase or a token holds.
const maxSecretFile = 4096

// readSecretFile reads a secret from the first and only line of a regular file
// that nobody but its owner can read.
func readSecretFile(path string) (pki.Secret, error) {
	var none pki.Secret
	f, err := os.Open(path)
	if err != nil {
		return none, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return none, err
	}
	if !info.Mode().IsRegular() {
		return none, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return none, hintf(fmt.Errorf("%s can be read by others: its mode is %04o", path, info.Mode().Perm()),
			"run 'chmod 600 %s', and think about who has read it", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return none, err
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if line == "" || len(text) > maxSecretFile || strings.ContainsAny(line, "\r\n") {
		return none, fmt.Errorf("%s: it must hold one line of at most %d bytes", path, maxSecretFile)
	}
	return pki.NewSecret(line), nil
}
