package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pando-pki/pando/client"
)

func TestTarget(t *testing.T) {
	dir := t.TempDir()
	tokenFile := filepath.Join(dir, "token")
	for path, text := range map[string]string{
		tokenFile: "pando_file\n",
		filepath.Join(dir, "quickstart.json"): `{"api": "https://quick/api/v1", "token": "pando_quick",
			"tls_ca": "ca.pem", "root": "/elsewhere/root.pem", "tenant": "demo"}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	quick := target{"https://quick/api/v1", client.TokenOf("pando_quick"), filepath.Join(dir, "ca.pem"), "/elsewhere/root.pem"}
	ofFile, ofVariable := quick, quick
	ofFile.Token, ofVariable.Token = client.TokenOf("pando_file"), client.TokenOf("pando_env")
	exported := map[string]string{serverVariable: "https://env", tokenVariable: "pando_env", tlsCAVariable: "env.pem"}

	for name, test := range map[string]struct {
		flags       globals
		environment map[string]string
		want        target
		refused     string
	}{
		"nothing":                    {refused: "which server?"},
		"environment":                {environment: exported, want: target{"https://env", client.TokenOf("pando_env"), "env.pem", ""}},
		"flags before environment":   {flags: globals{Server: "https://flag", TokenFile: tokenFile, TLSCA: "flag.pem"}, environment: exported, want: target{"https://flag", client.TokenOf("pando_file"), "flag.pem", ""}},
		"no token":                   {flags: globals{Server: "https://flag"}, refused: "as whom?"},
		"quickstart":                 {flags: globals{Quickstart: dir}, want: quick},
		"quickstart hides variables": {flags: globals{Quickstart: dir}, environment: exported, want: quick},
		"quickstart, other token":    {flags: globals{Quickstart: dir, TokenFile: tokenFile}, want: ofFile},
		"quickstart by variable":     {environment: map[string]string{quickstartVariable: dir, tlsCAVariable: "env.pem"}, want: quick},
		"token before quickstart":    {environment: map[string]string{quickstartVariable: dir, tokenVariable: "pando_env"}, want: ofVariable},
		"file before token":          {flags: globals{TokenFile: tokenFile}, environment: map[string]string{quickstartVariable: dir, tokenVariable: "pando_env"}, want: ofFile},
		"server before quickstart":   {flags: globals{Server: "https://flag"}, environment: map[string]string{quickstartVariable: dir}, refused: "as whom?"},
		"no such quickstart":         {flags: globals{Quickstart: tokenFile}, refused: "quickstart.json"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range []string{serverVariable, tokenVariable, tlsCAVariable, quickstartVariable} {
				t.Setenv(v, test.environment[v])
			}
			got, err := test.flags.target()
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Fatalf("got %v, want an error with %q", err, test.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
