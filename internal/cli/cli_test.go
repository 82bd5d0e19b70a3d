package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
)

func TestExitStatus(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want int
	}{
		"no arguments":    {nil, exitDone},
		"help":            {[]string{"--help"}, exitDone},
		"done":            {[]string{"version"}, exitDone},
		"refused":         {[]string{"profile", "packs", "nothing"}, exitRefused},
		"unknown command": {[]string{"frobnicate"}, exitUsage},
		"unknown flag":    {[]string{"version", "--short"}, exitUsage},
		"missing flag":    {[]string{"init"}, exitUsage},
		"no server":       {[]string{"batch", "list"}, exitUsage},
		"token argument":  {[]string{"--token", "pando_x", "batch", "list"}, exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{serverVariable, quickstartVariable, "PANDO_DATA"} {
				t.Setenv(v, "")
			}
			var out, errs strings.Builder
			got := Run(t.Context(), test.args, strings.NewReader(""), &out, &errs)
			if got != test.want {
				t.Errorf("status %d, want %d\n%s%s", got, test.want, &out, &errs)
			}
			if told := strings.HasPrefix(errs.String(), "pando: error: "); told != (test.want != exitDone) {
				t.Errorf("standard error: %q", &errs)
			}
		})
	}
}

// TestFailureAsJSON: with --json what went wrong is JSON, on standard error.
func TestFailureAsJSON(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		status int
		want   failure
	}{
		"with a kind":     {[]string{"profile", "packs", "nothing"}, exitRefused, failure{Error: "there is no pack", Hint: "'pando profile packs' lists", Kind: "not-found"}},
		"without":         {[]string{"profile", "lint", "nothing.yaml"}, exitRefused, failure{Error: "open nothing.yaml: "}},
		"no server":       {[]string{"batch", "list"}, exitUsage, failure{Error: "which server?", Kind: "usage"}},
		"unknown command": {[]string{"frobnicate"}, exitUsage, failure{Error: "unexpected argument frobnicate", Hint: `run "pando --help"`, Kind: "usage"}},
		"unknown flag":    {[]string{"version", "--short"}, exitUsage, failure{Error: "unknown flag --short", Hint: `run "pando version --help"`, Kind: "usage"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{serverVariable, quickstartVariable} {
				t.Setenv(v, "")
			}
			var out, errs strings.Builder
			if status := Run(t.Context(), append(test.args, "--json"), strings.NewReader(""), &out, &errs); status != test.status || out.Len() > 0 {
				t.Errorf("status %d, want %d; %s", status, test.status, &out)
			}
			var got failure
			if err := json.Unmarshal([]byte(errs.String()), &got); err != nil {
				t.Fatalf("%q: %v", &errs, err)
			}
			if !strings.HasPrefix(got.Error, test.want.Error) || !strings.HasPrefix(got.Hint, test.want.Hint) || got.Kind != test.want.Kind {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
	c, errs := &console{json: true}, new(strings.Builder)
	c.err = errs
	c.fail(&client.Problem{Detail: "who?", Kind: "unauthenticated"})
	if want := `{"error":"who?","hint":"give a token that holds in PANDO_TOKEN or with --token-file, and in --server the listener that takes tokens","kind":"unauthenticated"}` + "\n"; errs.String() != want {
		t.Errorf("of the server: %s", errs)
	}
}

func TestFail(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		want   string
	}{
		"plain":           {errors.New("it broke"), exitRefused, "pando: error: it broke\n"},
		"with a hint":     {hintf(errors.New("it broke"), "mend it"), exitRefused, "pando: error: it broke\npando: hint: mend it\n"},
		"usage":           {usagef("which one?"), exitUsage, "pando: error: which one?\n"},
		"said already":    {errSilent, exitRefused, ""},
		"interrupted":     {fmt.Errorf("asking the server: %w", context.Canceled), exitRefused, "pando: error: interrupted\n"},
		"internal":        {&client.Problem{Status: 500, Title: "Internal error", Kind: "internal", RequestID: "r1"}, exitRefused, "pando: error: the server answered 500 Internal error\npando: hint: the server's log has the cause, under request r1\n"},
		"come again":      {&client.Problem{Detail: "too many", Kind: "rate-limited"}, exitRefused, "pando: error: too many\npando: hint: try again later\n"},
		"platform only":   {&client.Problem{Detail: "no", Kind: "forbidden", Permission: "tenants.manage"}, exitRefused, "pando: error: no\npando: hint: platform operators alone have this, and nobody can be granted it in a tenant: use the token that 'pando init' printed, or another that was made with it\n"},
		"the operator":    {&client.Problem{Detail: "needs x: " + access.SeesNoTenant, Kind: "forbidden", Permission: "certificates.read"}, exitRefused, "pando: error: needs x: a platform operator sees into no tenant\npando: hint: use a token of the tenant: 'pando token create --tenant TENANT --role tenant-administrator' makes one for its administrator, who makes the others\n"},
		"no issuer":       {&client.Problem{Detail: `no issuer "x"`, Kind: "not-found"}, exitRefused, "pando: error: no issuer \"x\"\npando: hint: " + issuerHint + "\n"},
		"nor of a root":   {&client.Problem{Detail: `the authority root has no issuer "x"`, Kind: "not-found"}, exitRefused, "pando: error: the authority root has no issuer \"x\"\npando: hint: " + issuerHint + "\n"},
		"the own hint":    {hintf(&client.Problem{Detail: "no", Kind: "forbidden"}, "ask Ann"), exitRefused, "pando: error: no\npando: hint: ask Ann\n"},
		"unauthenticated": {&client.Problem{Detail: "who?", Kind: "unauthenticated"}, exitRefused, "pando: error: who?\npando: hint: give a token that holds in PANDO_TOKEN or with --token-file, and in --server the listener that takes tokens\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var errs strings.Builder
			c := &console{err: &errs}
			if got := c.fail(test.err); got != test.status {
				t.Errorf("status %d, want %d", got, test.status)
			}
			if diff := cmp.Diff(test.want, errs.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEmptyIsNoValue: what a flag must be one of has no empty string, which stands for
// the flag that is not given.
func TestEmptyIsNoValue(t *testing.T) {
	for text, want := range map[string]string{
		`--status must be one of "","good","held" but got "bogus"`:   `--status must be one of "good","held" but got "bogus"`,
		`--format must be one of "pem","zip","" but got "xls"`:       `--format must be one of "pem","zip" but got "xls"`,
		`--mode must be one of "test","production" but got "\"\",x"`: `--mode must be one of "test","production" but got "\"\",x"`,
		`missing flags: --mode=MODE`:                                 `missing flags: --mode=MODE`,
	} {
		if got := withoutEmpty(text); got != want {
			t.Errorf("%s: got %s", text, got)
		}
	}
}
