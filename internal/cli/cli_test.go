package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pando-pki/pando/client"
)

func TestExitStatus(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want int
	}{
		"no arguments":    {nil, exitDone},
		"help":            {[]string{"--help"}, exitDone},
		"done":            {[]string{"version"}, exitDone},
		"refused":         {[]string{"profile", "reference", "nothing"}, exitRefused},
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
		"the own hint":    {hintf(&client.Problem{Detail: "no", Kind: "forbidden"}, "ask Ann"), exitRefused, "pando: error: no\npando: hint: ask Ann\n"},
		"unauthenticated": {&client.Problem{Detail: "who?", Kind: "unauthenticated"}, exitRefused, "pando: error: who?\npando: hint: give a token that holds in PANDO_TOKEN or with --token-file\n"},
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
