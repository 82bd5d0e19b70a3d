package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
)

// profileDiff is "pando profile diff".
type profileDiff struct {
	Before string `arg:"" help:"A file, or NAME@VERSION of a published profile, or NAME@latest."`
	After  string `arg:"" help:"The same of the other; - is standard input."`
}

func (profileDiff) Help() string {
	return `Shows what of the meaning of two documents differs, and whether more may be issued afterwards: a change widens, narrows, or does neither. One that cannot be told to narrow counts as widening. Then it says which defaults of the language each relies on without saying them. The exit status is 0 whatever the difference is.

Examples:

    pando profile diff meter@latest meter.yaml
    pando profile diff meter@1 meter@2 --json
    pando profile diff old.yaml new.yaml`
}

// compared is the result of "pando profile diff".
type compared struct {
	Changes []comparedChange `json:"changes"`
	Widens  bool             `json:"widens"` // one of them does

	Defaults comparedDefaults `json:"defaults"` // that each relies on without saying it
}

// comparedDefaults are the values of what a document does not say, by where it would
// stand.
type comparedDefaults struct {
	Before map[string]string `json:"before"`
	After  map[string]string `json:"after"`
}

type comparedChange struct {
	What   string `json:"what"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Effect string `json:"effect"`
}

// Run compares the documents.
func (p *profileDiff) Run(ctx context.Context, c *console, g *globals) error {
	before, err := p.load(ctx, c, g, p.Before)
	if err != nil {
		return err
	}
	after, err := p.load(ctx, c, g, p.After)
	if err != nil {
		return err
	}
	changes := policy.Diff(before, after)
	got := compared{Changes: []comparedChange{}, Widens: policy.Widened(changes),
		Defaults: comparedDefaults{defaultsOf(before), defaultsOf(after)}}
	t := table{heading: []string{"EFFECT", "WHAT", "BEFORE", "AFTER"}}
	for _, x := range changes {
		got.Changes = append(got.Changes, comparedChange{x.What, x.Before, x.After, string(x.Effect)})
		t.add(x.Effect, x.What, x.Before, x.After)
	}
	return c.result(got, func(w io.Writer) error {
		if len(changes) > 0 {
			err = t.write(w)
		} else {
			_, err = fmt.Fprintln(w, "the documents say the same")
		}
		if err != nil {
			return err
		}
		var unsaid table
		for _, of := range []struct {
			name    string
			profile *policy.Profile
		}{{p.Before, before}, {p.After, after}} {
			var words []string
			for _, d := range of.profile.Defaults() {
				words = append(words, d.What+" "+d.Value)
			}
			unsaid.add(of.name+" relies on the defaults", strings.Join(words, ", "))
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		return unsaid.write(w)
	})
}

func defaultsOf(p *policy.Profile) map[string]string {
	values := make(map[string]string)
	for _, d := range p.Defaults() {
		values[d.What] = d.Value
	}
	return values
}

// load returns the profile that an argument names.
func (p *profileDiff) load(ctx context.Context, c *console, g *globals, argument string) (*policy.Profile, error) {
	var source []byte
	if name, version, published := strings.Cut(argument, "@"); published && pki.CheckSlug("profile", name) == nil {
		n := 0
		if version != "latest" {
			var err error
			if n, err = strconv.Atoi(version); err != nil || n < 1 {
				return nil, pki.Errorf(pki.Malformed, "%.60q: a published profile is NAME@VERSION, with a version from 1, or NAME@latest", argument)
			}
		}
		cl, err := g.connect(c)
		if err != nil {
			return nil, err
		}
		got, err := cl.Profile(ctx, name, n)
		if err != nil {
			return nil, err
		}
		source = []byte(got.Source)
	} else {
		var err error
		source, err = c.readInput(argument, maxProfile)
		if errors.Is(err, os.ErrNotExist) && pki.CheckSlug("profile", argument) == nil {
			err = hintf(err, "a published profile is named with its version: %s@latest", argument)
		}
		if err != nil {
			return nil, err
		}
	}
	parsed, err := policy.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", argument, err)
	}
	return parsed, nil
}
