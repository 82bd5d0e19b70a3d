package specimen

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
)

func parse(t *testing.T, source string) *policy.Profile {
	t.Helper()
	p, err := policy.Parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func lintOf(t *testing.T, source string) *Verdict {
	t.Helper()
	v, err := Lint(parse(t, source), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestLintPacks holds that every profile of the packs can be published, and that a
// sample fits each of them.
func TestLintPacks(t *testing.T) {
	var unknown []string
	for _, name := range packs.Names() {
		pack, err := packs.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		values := make(map[string]string)
		for _, o := range pack.Parameters {
			values[o.Name] = o.Example
		}
		for _, x := range pack.Profiles {
			source, err := pack.Source(x.Name, values)
			if err != nil {
				t.Fatal(err)
			}
			v := lintOf(t, string(source))
			if err := v.Err(); err != nil {
				t.Errorf("%s: %v", x.Name, err)
			}
			if len(v.Tried) == 0 {
				unknown = append(unknown, x.Name)
			}
		}
	}
	if len(unknown) > 0 {
		t.Errorf("no sample fits %v", unknown)
	}
}

const base = `profile: sample
keys: {allow: [p384, p256, rsa3072, rsa2048, mldsa65]}
validity: 1y
subject: [{type: CN, from: device.id}]
keyIdentifiers: [subject, authority]
`

func TestLint(t *testing.T) {
	for name, row := range map[string]struct {
		more    string
		tried   int
		refused string // what the refusal says
		warned  string // the warning
	}{
		"good":           {"", 3, "", ""},
		"a warning":      {"keyUsage: {use: [digitalSignature], critical: false}\n", 3, "", "w_ext_key_usage_not_critical"},
		"an error":       {"keyUsage: {use: [contentCommitment]}\nextendedKeyUsage: {use: [codeSigning]}\n", 3, "e_key_usage_and_extended_key_usage_inconsistent", ""},
		"no sample fits": {"rules: [{require: \"request.attributes['hw'] == '1'\", because: hw is one}]\n", 0, "", ""},
	} {
		v := lintOf(t, base+row.more)
		err := v.Err()
		switch {
		case len(v.Tried) != row.tried:
			t.Errorf("%s: tried %v", name, v.Tried)
		case row.refused == "" && err != nil || row.refused != "" && (pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), row.refused)):
			t.Errorf("%s: %v", name, err)
		case row.refused != "" && strings.Count(err.Error(), row.refused) != 1:
			t.Errorf("%s: the rule is not named once: %v", name, err)
		case row.warned != "" && !slices.ContainsFunc(v.Findings, func(f policy.Finding) bool { return f.Rule == row.warned }):
			t.Errorf("%s: findings %v", name, v.Findings)
		}
	}
}

// TestLintRoot holds that a root, whose certificate needs no authority key
// identifier, is tried as one.
func TestLintRoot(t *testing.T) {
	for _, kind := range []string{"p256", "mldsa44"} {
		v := lintOf(t, "profile: r\nkeys: {allow: ["+kind+"]}\nvalidity: 1y\nsubject: [{type: CN, from: authority.commonName}]\n"+
			"basicConstraints: {ca: true}\nkeyUsage: {use: [keyCertSign, cRLSign]}\nkeyIdentifiers: [subject]\n")
		if err := v.Err(); err != nil || len(v.Tried) != 1 {
			t.Errorf("%s: %v, tried %v", kind, err, v.Tried)
		}
	}
}

// TestLintCost holds that a profile whose expressions cost too much cannot be
// published, and that the first sample shows it.
func TestLintCost(t *testing.T) {
	source := base + "rules: [{require: \"['" + strings.Repeat("x", 250) + "'].map(a,a.replace('','" + strings.Repeat("y", 60) + "')).map(a,a.replace('',a)).size()==1\", because: x}]\n"
	p := parse(t, source)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Lint(p, time.Now())
	runtime.ReadMemStats(&after)
	if pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), "costs too much") {
		t.Errorf("%v", err)
	}
	if n := strings.Count(err.Error(), "costs too much"); n != 1 {
		t.Errorf("it says %d times what costs too much: %v", n, err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
		t.Errorf("it allocates %d octets", allocated)
	}
}
