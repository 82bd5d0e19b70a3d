package cli

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/server"
)

// update is set by -update: rewrite what is generated and do not compare.
var update = flag.Bool("update", false, "rewrite the generated files")

// TestDefaultConfigDocs keeps pando.yaml equal to what server.Config says of
// itself: every field, its comment and its default.
func TestDefaultConfigDocs(t *testing.T) {
	want := "# The configuration of a pando server. Every field is here with its default.\n" +
		"# 'pando config' prints what is in effect; an unknown key is refused.\n" +
		documentFields(t, configComments(t), reflect.ValueOf(server.DefaultConfig()), "")
	golden(t, "pando.yaml", []byte(want))

	got, err := server.ParseConfig([]byte(want), server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(server.DefaultConfig(), got); diff != "" {
		t.Errorf("pando.yaml does not say the defaults (-want +got):\n%s", diff)
	}
}

// golden compares got with a file of this repository, or rewrites that.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is stale; run 'go test ./internal/cli -run Docs -update' (-have +want):\n%s", path, diff)
	}
}

// documentFields writes the fields of a struct as YAML with their comments.
// Fields without a default stand commented out.
func documentFields(t *testing.T, comments map[string]string, v reflect.Value, indent string) string {
	t.Helper()
	var b strings.Builder
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		comment, ok := comments[v.Type().Name()+"."+field.Name]
		if !ok {
			t.Fatalf("server.%s.%s has no comment", v.Type().Name(), field.Name)
		}
		fmt.Fprintln(&b)
		for line := range strings.Lines(comment) {
			fmt.Fprintf(&b, "%s# %s\n", indent, strings.TrimSpace(line))
		}
		switch {
		case field.Type.Kind() == reflect.Struct:
			fmt.Fprintf(&b, "%s%s:%s", indent, key, documentFields(t, comments, v.Field(i), indent+"  "))
		case v.Field(i).IsZero():
			fmt.Fprintf(&b, "%s#%s:\n", indent, key)
		default:
			value, err := yaml.MarshalWithOptions(v.Field(i).Interface(), yaml.Flow(true))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s%s: %s\n", indent, key, bytes.TrimSpace(value))
		}
	}
	return b.String()
}

// configComments returns the comment of each field of each struct in the file
// of server.Config, by "Struct.Field".
func configComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../server/config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				if f.Doc != nil {
					comments[spec.Name.Name+"."+f.Names[0].Name] = f.Doc.Text()
				}
			}
		}
		return true
	})
	return comments
}

func TestParseConfigRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unknown key":    {"listen:\n  htps: :8443\n", ">  2 |   htps: :8443"},
		"key twice":      {"node: a\nnode: b\n", "node"},
		"wrong duration": {"status:\n  crl_life: soon\n", ">  2 |   crl_life: soon"},
		"no duration":    {"status:\n  ocsp_life: {}\n", ">  2 |   ocsp_life: {}"},
		"wrong type":     {"listen: 8443\n", "listen: 8443"},
		"tag on nothing": {"tls:\n  names: !x\n", "have no place here"},
		"alias":          {"node: &n a\nlog:\n  level: *n\n", "have no place here"},
		"two documents":  {"node: a\n---\nnode: b\n", "more than one document"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := server.ParseConfig([]byte(test.text), server.DefaultConfig())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// TestCheckConfig: what no server can run with is refused before one starts.
func TestCheckConfig(t *testing.T) {
	tests := []struct {
		name    string
		set     func(c *server.Config)
		refused string // "" where it is not
	}{
		{"the defaults", func(*server.Config) {}, ""},
		{"an endpoint", func(c *server.Config) { c.TLS.Endpoint = "demo.tls" }, ""},
		{"an endpoint without a tenant", func(c *server.Config) { c.TLS.Endpoint = "nodot" }, "tls.endpoint"},
		{"an endpoint of two dots", func(c *server.Config) { c.TLS.Endpoint = "a.b.c" }, "tls.endpoint"},
		{"an endpoint in capitals", func(c *server.Config) { c.TLS.Endpoint = "Demo.tls" }, "tls.endpoint"},
		{"a level", func(c *server.Config) { c.Log.Level = "loud" }, "log level"},
		{"a format", func(c *server.Config) { c.Log.Format = "xml" }, "log format"},
		{"a key in the environment", func(c *server.Config) { c.Keys.Encryption = "env:KEK" }, ""},
		{"a key elsewhere", func(c *server.Config) { c.Keys.Encryption = "vault:x" }, "keys.encryption"},
		{"a key nowhere", func(c *server.Config) { c.Keys.Encryption = "file:" }, "keys.encryption"},
		{"the key itself", func(c *server.Config) { c.Keys.Encryption = "c2VjcmV0" }, "keys.encryption"},
		{"a tenant's key", func(c *server.Config) { c.Keys.Tenants = map[pki.TenantID]string{"acme": "file:acme.key"} }, ""},
		{"a tenant's key elsewhere", func(c *server.Config) { c.Keys.Tenants = map[pki.TenantID]string{"acme": "acme.key"} }, "keys.tenants.acme"},
		{"no tenant's key", func(c *server.Config) { c.Keys.Tenants = map[pki.TenantID]string{"Acme": "file:acme.key"} }, "keys.tenants"},
		{"any address", func(c *server.Config) { c.Listen.HTTPS = ":8443" }, ""},
		{"an IPv6 address", func(c *server.Config) { c.Listen.Devices = "[::1]:0" }, ""},
		{"no port", func(c *server.Config) { c.Listen.HTTP = "127.0.0.1" }, "listen.http "},
		{"a port beyond", func(c *server.Config) { c.Listen.Ops = "127.0.0.1:65536" }, "listen.ops "},
		{"a port alone", func(c *server.Config) { c.Listen.HTTPS = "8443" }, "listen.https "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := server.DefaultConfig()
			tt.set(&c)
			err := c.Check()
			if tt.refused == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if pki.KindOf(err) != pki.Malformed || err == nil || !strings.Contains(err.Error(), tt.refused) || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("%v, want one about %s", err, tt.refused)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("listen:\n  https: :8443\n"))
	f.Add(defaultConfig)
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := server.ParseConfig(text, server.DefaultConfig())
		if err != nil || cfg.Check() != nil {
			return
		}
		again, err := yaml.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		got, err := server.ParseConfig(again, server.DefaultConfig())
		if err != nil {
			t.Fatalf("what was printed of it is refused: %v\n%s", err, again)
		}
		if diff := cmp.Diff(cfg, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("printing changed it:\n%s", diff)
		}
	})
}
