package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/specimen"
)

// profileLint is "pando profile lint".
type profileLint struct {
	File string `arg:"" help:"The document; - is standard input."`
}

func (profileLint) Help() string {
	return `Checks the document, and has zlint's rules for any PKI read what it makes of sample requests, one for each family of keys. A rule that fails is an error, as it is when the document is published; warnings are shown. Where the profile takes none of the samples, 'pando profile test' with a request of yours says the same.

Examples:

    pando profile lint meter.yaml`
}

// linted is the result of "pando profile lint".
type linted struct {
	Name     string           `json:"name"`
	Hash     string           `json:"hash"`     // as it will have when published
	Tried    []pki.KeyKind    `json:"tried"`    // kinds of key of the certificates that zlint read
	Warnings []policy.Finding `json:"warnings"` // of zlint
}

// Run checks the document.
func (p *profileLint) Run(c *console) error {
	source, err := c.readInput(p.File, maxProfile)
	if err != nil {
		return err
	}
	parsed, err := policy.Parse(source)
	if err != nil {
		return fmt.Errorf("%s: %w", p.File, err)
	}
	verdict, err := specimen.Lint(parsed, time.Now())
	if err != nil {
		return err
	}
	if err := verdict.Err(); err != nil {
		return fmt.Errorf("%s: %w", p.File, err)
	}
	good := linted{parsed.Name(), fingerprint(source), append([]pki.KeyKind{}, verdict.Tried...), append([]policy.Finding{}, verdict.Findings...)}
	return c.result(good, func(w io.Writer) error {
		fmt.Fprintf(w, "profile %s is well formed\n", good.Name)
		if len(good.Tried) == 0 {
			fmt.Fprintln(w, "zlint read nothing: the profile takes none of the sample requests; 'pando profile test' takes one of yours")
		}
		return writeFindings(w, good.Warnings)
	})
}

// writeFindings prints zlint's findings, one a line.
func writeFindings(w io.Writer, findings []policy.Finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	return nil
}
