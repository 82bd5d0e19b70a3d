package storetest

import (
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// testWithin: an item is held against where its device is in the transaction of its
// intent, and against where it is to go.
func testWithin(f *fixture) {
	f.issue(f.item("meter-1")) // in product line meters, at site north
	where := access.Scope{Authority: "issuing", Endpoint: "line-1"}
	within := func(line string) *access.Within {
		return access.NewWithin("token:part", access.ManageBatches, where, []access.Scope{{ProductLine: line, Endpoint: "line-1"}, {Site: "moon"}})
	}
	for _, test := range []struct {
		device pki.DeviceID
		to     pki.Placement
		within *access.Within
		says   string // of the refusal; "" is none
	}{
		{"meter-1", pki.Placement{ProductLine: "gateways"}, within("gateways"), "needs batches.manage on authority:issuing+product-line:meters+site:north+endpoint:line-1; token:part has it on product-line:gateways+endpoint:line-1, site:moon only"},
		{"meter-1", pki.Placement{}, within("gateways"), "product-line:meters+site:north"},
		{"meter-1", pki.Placement{ProductLine: "gateways"}, within("meters"), "product-line:gateways"},
		{"meter-1", pki.Placement{}, within("meters"), ""},
		{"meter-1", pki.Placement{ProductLine: "meters", Site: "south"}, within("meters"), ""},
		{"meter-2", pki.Placement{}, within("meters"), "needs batches.manage on authority:issuing+endpoint:line-1"},
		{"meter-2", pki.Placement{Site: "moon"}, within("meters"), ""},
		{"", pki.Placement{ProductLine: "gateways"}, within("meters"), "product-line:gateways"},
		{"meter-1", pki.Placement{ProductLine: "gateways"}, nil, ""},
	} {
		it := f.item(test.device)
		it.Placement, it.Within = test.to, test.within
		f.intend(f.intent(it))
		if test.says == "" {
			f.ok(it.Refused)
			continue
		}
		f.is(pki.Forbidden, it.Refused)
		f.says(it.Refused, test.says)
	}
}
