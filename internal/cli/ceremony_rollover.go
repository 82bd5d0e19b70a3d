package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pando-pki/pando/internal/ceremony"
)

// ceremonyRollover is "pando ceremony rollover".
type ceremonyRollover struct {
	Root              string `required:"" placeholder:"FILE" help:"Sealed file of the root that is followed."`
	New               string `required:"" placeholder:"FILE" help:"Write the sealed key of the new root to this file; where it is there, go on with it."`
	Request           string `required:"" placeholder:"FILE" help:"Request, as 'pando authority request' writes it of a root."`
	Out               string `required:"" placeholder:"FILE" help:"Write the answer to this new file, for 'pando authority install'."`
	NewPassphraseFile string `placeholder:"FILE" help:"Read the new root's passphrase from this file, of mode 0600, and do not ask."`
	ceremonyFlags
}

func (ceremonyRollover) Help() string {
	return `Makes the new root's key and its certificate, signs its key with the old root's (NewWithOld), and the old root's key with its own (OldWithNew). The new root has the name of the old one, and the profile of the request.

What was interrupted goes on with the same command: what stands in the journals is not done again, and where all is done the answer is written once more.

Examples:

    pando ceremony rollover --root root.sealed --new root-2.sealed --request root.request.json --out root.answer.json`
}

// Run makes the new root and the links.
func (r *ceremonyRollover) Run(ctx context.Context, c *console) error {
	request, err := readRequest(r.Request)
	if err != nil {
		return err
	}
	act, err := describe(request)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Request, err)
	}
	if err := r.checkPaths(); err != nil {
		return err
	}
	act.add("old sealed key", r.Root)
	act.add("new sealed key", r.New)
	if err := r.announce(c, act, "Make this root?"); err != nil {
		return err
	}
	old, err := passphraseFrom(r.PassphraseFile, "Passphrase of the old root", "")
	if err != nil {
		return err
	}
	again := "The same passphrase again"
	_, err = os.Lstat(r.New)
	fresh := errors.Is(err, fs.ErrNotExist)
	if !fresh {
		again = "" // it has one
	}
	next, err := passphraseFrom(r.NewPassphraseFile, "Passphrase of the new root", again)
	if err != nil {
		return err
	}
	out, err := c.reserve(r.Out)
	if err != nil {
		return err
	}
	defer out.drop()
	response, err := ceremony.Rollover(ctx, ceremony.RolloverConfig{
		Sealed: r.Root, Passphrase: old, New: r.New, NewPassphrase: next, Request: request, Now: time.Now,
	})
	if err != nil {
		if _, made := os.Lstat(r.New); made == nil && fresh {
			return hintf(err, "what was done stands in the journals: run the same command again to go on")
		}
		return err
	}
	if err := writeAnswer(c, out, r.Out, response); err != nil {
		return hintf(fmt.Errorf("all is signed, and the answer could not be written: %w", err), "run the same command again: it signs nothing twice")
	}
	c.actDone(ctx, r.New, r.New+".journal", r.Root+".journal", r.Out)
	return nil
}

// checkPaths refuses files that are in the way of each other.
func (r *ceremonyRollover) checkPaths() error {
	old, next, out := filepath.Clean(r.Root), filepath.Clean(r.New), filepath.Clean(r.Out)
	switch {
	case old == next || old+".journal" == next || next+".journal" == old:
		return usagef("--new %s: the two roots have files of their own", r.New)
	case out == next || out == next+".journal":
		return usagef("--out %s: the sealed key and its journal have files of their own", r.Out)
	}
	if err := refuseExisting(r.Out); err != nil {
		return err
	}
	if _, err := os.Lstat(r.New); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return refuseData(filepath.Dir(r.New))
}
