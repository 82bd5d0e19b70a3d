package policy

import (
	"runtime"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// allocated returns how many octets f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestExpressionMemory: what an expression may cost bounds what it allocates, whatever
// its functions make of a request of any size.
func TestExpressionMemory(t *testing.T) {
	const most = 32 << 20
	forty := strings.Repeat("%s", 40)
	list := func(name string) string { return strings.TrimSuffix(strings.Repeat(name+",", 40), ",") }
	sum := func(name string) string { return strings.TrimSuffix(strings.Repeat(name+"+", 45), "+") }
	sums := ".map(a," + sum("a") + ").map(b," + sum("b") + ")"
	for name, row := range map[string]struct {
		rule string
		cn   int
		want string // of the refusal; "" where the rule holds
	}{
		"format of formats":    {"[csr.subject.cn].map(a,'" + forty + "'.format([" + list("a") + "])).map(b,'" + forty + "'.format([" + list("b") + "])).size()==1", 4000, "memory limit exceeded"},
		"a long text":          {"csr.subject.cn.size() > 0", 60_000, "has a value of 60000 octets"},
		"a long text, hidden":  {"[1].all(csr, .csr.subject.cn.size() > 0)", 60_000, "has a value of 60000 octets"},
		"replace of nothing":   {"csr.subject.cn.replace('', csr.subject.cn).size() > 0", 4000, "replace would make"},
		"replace, some":        {"csr.subject.cn.replace('x', csr.subject.cn, 100).size() > 0", 4000, "replace would make"},
		"replace of replaces":  {"['" + strings.Repeat("x", 250) + "'].map(a,a.replace('','" + strings.Repeat("y", 60) + "')).map(a,a.replace('',a)).size()==1", 1, "replace would make"},
		"caught":               {"[1,2,3,4,5,6,7,8].exists(i, csr.subject.cn.replace('', csr.subject.cn) == '' || i == 8)", 4000, "replace would make"},
		"join":                 {"[" + list("''") + "].join(csr.subject.cn).size() > 0", 4000, "join would make"},
		"sums of texts":        {"[csr.subject.cn]" + sums + ".size()==1", 100, "limit exceeded"},
		"sums of lists":        {"[[1]]" + sums + "[0].size() == 2025", 10, ""},
		"lists of lists":       {"[csr.subject.cn].map(a,[" + list("a") + "]).map(b,[" + list("b") + "]) == [[['']]]", 100, "memory limit exceeded"},
		"search":               {"[csr.subject.cn].all(a, (a+a+a+a).indexOf(a+a) == 0)", 4000, "indexOf would"},
		"search from the end":  {"[csr.subject.cn].all(a, (a+a+a+a).lastIndexOf(a+a) > 0)", 4000, "lastIndexOf would"},
		"texts by the way":     {"request.attributes.all(a, request.attributes.all(b, '%s'.format([csr.subject.cn]) != ''))", 4000, "cost limit exceeded"},
		"encoded by the way":   {"request.attributes.all(a, request.attributes.all(b, base64.encode(bytes(csr.subject.cn)) != ''))", 4000, "cost limit exceeded"},
		"facts by the way":     {"request.attributes.all(a, request.attributes.all(b, csr.subject.cn != a))", 4000, ""},
		"an ordinary one":      {"csr.subject.cn.replace('x', 'yy').indexOf('y') == 0 && [csr.subject.cn, 'b'].join(', ').size() > 2", 64, ""},
		"names of the request": {"csr.san.dns.all(n, n.endsWith('.example.com') && n.replace('-', '').indexOf('z') < 0)", 64, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := parse(t, minimal+"rules: [{require: \""+row.rule+"\", because: x}]\n")
			in := &Input{CSR: &tbs.CSR{Subject: tbs.Name{{OID: "2.5.4.3", Value: strings.Repeat("x", row.cn)}}, Key: publicKey(t, generate(t, pki.P256).Public())}, Attributes: map[string]string{}, Now: now}
			for i := range 100 {
				in.CSR.Names = append(in.CSR.Names, tbs.GeneralName{Kind: tbs.DNSName, Text: strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + ".example.com"})
				if i < 32 {
					in.Attributes[strings.Repeat("k", i+1)] = "v"
				}
			}
			var err error
			got := allocated(func() { err = p.obey(in) })
			if (err == nil) != (row.want == "") || err != nil && (pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
			if row.want != "" && row.cn < 60_000 && !CostsTooMuch(err) {
				t.Errorf("%v: is no matter of cost", err)
			}
			if err != nil && err.Error() != pki.DetailOf(err) {
				t.Errorf("it says its cause twice: %v", err)
			}
			if got > most {
				t.Errorf("it allocates %d octets", got)
			}
		})
	}
}
