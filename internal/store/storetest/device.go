package storetest

import (
	"fmt"
	"time"

	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
)

func (f *fixture) plan(place pki.Placement, ids ...pki.DeviceID) (planned, moved int) {
	f.Helper()
	var devices []*registry.Device
	for _, id := range ids {
		devices = append(devices, &registry.Device{Owner: acme, ID: id, Placement: place, Created: f.now, Updated: f.now})
	}
	planned, moved, _, err := f.PlanDevices(f.ctx, acme, devices, f.event(acme, "device.import"))
	f.ok(err)
	return planned, moved
}

func (f *fixture) act(id pki.DeviceID, act registry.Act) (*registry.Device, error) {
	f.later(time.Second)
	e := f.event(acme, "device."+string(act))
	e.Target = "device:" + string(id)
	return f.ChangeDevice(f.ctx, registry.DeviceChange{Owner: acme, ID: id, Act: act, Note: "because", Event: e})
}

// state reports an error unless a device has the state.
func (f *fixture) state(id pki.DeviceID, want registry.State) {
	f.Helper()
	got, err := f.DeviceState(f.ctx, acme, id)
	f.ok(err)
	f.same(got, want)
}

// reason returns the reason of the entry that holds for a serial, or "".
func (f *fixture) reason(serial pki.Serial) string {
	f.Helper()
	status, err := f.Status(f.ctx, f.issuer.ID, serial)
	f.ok(err)
	if status.Revocation == nil {
		return ""
	}
	return status.Revocation.Reason.String()
}

func testPlanned(f *fixture) {
	here, there := pki.Placement{ProductLine: "meters", Lot: "lot-1"}, pki.Placement{ProductLine: "meters", Lot: "lot-2", Site: "north"}
	planned, moved := f.plan(here, "a", "b", "c")
	f.same([]int{planned, moved}, []int{3, 0})
	planned, moved = f.plan(here, "a", "b", "c", "d")
	f.same([]int{planned, moved}, []int{1, 0})
	planned, moved = f.plan(there, "a")
	f.same([]int{planned, moved}, []int{0, 1})
	got, err := f.Device(f.ctx, acme, "a")
	f.ok(err)
	f.same(got, &registry.Device{Owner: acme, ID: "a", Placement: there, State: registry.Planned, Created: f.now, Updated: f.now})
	_, err = f.Lot(f.ctx, acme, "lot-2") // registered by it
	f.ok(err)
	_, err = f.Device(f.ctx, stranger, "a")
	f.is(pki.NotFound, err)
	state, err := f.DeviceState(f.ctx, stranger, "a")
	f.ok(err)
	f.same(state, registry.State(""))

	// What has enrolled is beyond planning, and is where it was planned to be.
	it := f.item("a")
	it.Placement = pki.Placement{}
	f.issue(it)
	f.state("a", registry.Issued)
	cert, err := f.Certificate(f.ctx, acme, f.issuer.ID, it.Serial)
	f.ok(err)
	f.same(cert.Placement, there)
	planned, moved = f.plan(here, "a")
	f.same([]int{planned, moved}, []int{0, 0})
	f.state("a", registry.Issued)
	unheard := pki.Placement{ProductLine: "meters", Lot: "lot-9"}
	planned, moved, kept, err := f.PlanDevices(f.ctx, acme, []*registry.Device{{ID: "a", Placement: there}, {ID: "e", Placement: here}, {ID: "a", Placement: unheard}}, f.event(acme, "device.import"))
	f.ok(err)
	f.same([]int{planned, moved, len(kept)}, []int{1, 0, 1})
	f.same([]any{kept[2].ID, kept[2].State, kept[2].Placement}, []any{pki.DeviceID("a"), registry.Issued, there})
	_, err = f.Lot(f.ctx, acme, "lot-9") // for nobody
	f.is(pki.NotFound, err)
	f.same(f.actions(acme)[0], "device.import")
}

func testSuspended(f *fixture) {
	first, second, revoked, held := f.item("a"), f.item("a"), f.item("a"), f.item("a")
	other := f.item("b")
	f.issue(first, second, revoked, held, other)
	f.ok(f.revoke(f.entry(acme, revoked, pki.KeyCompromise)))
	f.ok(f.revoke(f.entry(acme, held, pki.CertificateHold)))

	d, err := f.act("a", registry.Suspend)
	f.ok(err)
	f.same([]registry.State{d.State, d.Resumes}, []registry.State{registry.Suspended, registry.Issued})
	reasons := func() []string {
		return []string{f.reason(first.Serial), f.reason(second.Serial), f.reason(revoked.Serial), f.reason(held.Serial), f.reason(other.Serial)}
	}
	f.same(reasons(), []string{"certificateHold", "certificateHold", "keyCompromise", "certificateHold", ""})
	events, _, err := f.Events(f.ctx, acme, hierarchy.EventFilter{}, "", 3)
	f.ok(err)
	detail := ""
	for _, e := range events {
		if e.Action == "device.suspend" {
			detail = e.Detail
		}
	}
	f.same(detail, "issued to suspended, 2 certificates put on hold: because")
	for _, act := range []registry.Act{registry.Suspend, registry.Activate, registry.Return} {
		_, err := f.act("a", act)
		f.is(pki.Conflict, err)
	}
	_, err = f.ChangeDevice(f.ctx, registry.DeviceChange{Owner: stranger, ID: "a", Act: registry.Resume, Event: f.event(stranger, "device.resume")})
	f.is(pki.NotFound, err)

	// None of them is released meanwhile, whoever asks, and whichever hold it is.
	for _, it := range []*issuance.Item{first, held} {
		err := f.revoke(f.entry(acme, it, pki.RemoveFromCRL))
		f.is(pki.Conflict, err)
		f.same(pki.DetailOf(err), pki.DetailOf(revocation.DeviceSuspended("a")))
	}
	f.ok(f.revoke(f.entry(acme, other, pki.CertificateHold)))
	f.ok(f.revoke(f.entry(acme, other, pki.RemoveFromCRL)))

	// What was on hold before the suspension stays so.
	d, err = f.act("a", registry.Resume)
	f.ok(err)
	f.same([]registry.State{d.State, d.Resumes}, []registry.State{registry.Issued, ""})
	f.same(reasons(), []string{"", "", "keyCompromise", "certificateHold", ""})
	_, err = f.act("a", registry.Activate)
	f.ok(err)
	_, err = f.act("a", registry.Resume)
	f.is(pki.Conflict, err)
}

// testSuspendedJob: a job that releases leaves what suspended devices have, and counts
// it; others take it as any that is on hold.
func testSuspendedJob(f *fixture) {
	kept, kept2, free, good := f.placed(acme, "a", "lot-1"), f.placed(acme, "a", "lot-1"), f.placed(acme, "b", "lot-1"), f.placed(acme, "c", "lot-1")
	f.issue(kept, kept2, free, good)
	_, err := f.act("a", registry.Suspend)
	f.ok(err)
	f.ok(f.revoke(f.entry(acme, free, pki.CertificateHold)))
	found := revocation.Counts{Good: 1, Held: 1, Suspended: 2}

	dry := f.job(acme, revocation.ByLot, "lot-1", pki.RemoveFromCRL)
	dry.DryRun, dry.State = true, revocation.Counting
	counted, _ := f.advance(f.createJob(dry), 3)
	f.same(counted.Counts, found)
	done, _ := f.advance(f.createJob(f.job(acme, revocation.ByLot, "lot-1", pki.RemoveFromCRL)), 3)
	f.same(done.Counts, found)
	counts, err := f.JobCounts(f.ctx, acme, done.ID, revocation.ShardCounts{}, 100)
	f.ok(err)
	suspended := int64(0)
	for _, c := range counts {
		suspended += c.Suspended
	}
	f.same(suspended, int64(2))
	f.same([]string{f.statusOf(kept), f.statusOf(kept2), f.statusOf(free), f.statusOf(good)},
		[]string{"certificateHold after 1", "certificateHold after 1", "good after 2", "good after 0"})

	final, _ := f.advance(f.createJob(f.job(acme, revocation.ByLot, "lot-1", pki.Superseded)), 3)
	f.same(final.Counts, revocation.Counts{Good: 2, Held: 2})
	f.same(f.statusOf(kept), "superseded after 2")
}

func testDecommissioned(f *fixture) {
	valid, expired := f.item("a"), f.item("a")
	expired.NotAfter = f.now
	f.issue(valid, expired)
	_, err := f.act("a", registry.Suspend)
	f.ok(err)
	_, err = f.act("a", registry.Decommission) // final, after a hold too
	f.ok(err)
	f.state("a", registry.Decommissioned)
	f.same([]string{f.reason(valid.Serial), f.reason(expired.Serial)}, []string{"cessationOfOperation", ""})
	for _, act := range registry.Acts() {
		_, err := f.act("a", act)
		f.is(pki.Conflict, err)
	}
	f.plan(pki.Placement{}, "b")
	_, err = f.act("b", registry.Decommission)
	f.ok(err)
	f.same(f.plans("b"), 0)
	f.state("b", registry.Decommissioned)
	_, err = f.act("nobody", registry.Decommission)
	f.is(pki.NotFound, err)
}

// plans returns how many of the ids were new to a plan.
func (f *fixture) plans(ids ...pki.DeviceID) int {
	planned, _ := f.plan(pki.Placement{}, ids...)
	return planned
}

// testChangedDevice changes devices between the intent and the record of their
// certificates.
func testChangedDevice(f *fixture) {
	f.issue(f.item("a"), f.item("b"), f.item("c"))
	a, b, c := f.item("a"), f.item("b"), f.item("c")
	in := f.intent(a, b, c)
	f.intend(in)
	for id, act := range map[pki.DeviceID]registry.Act{"a": registry.Suspend, "b": registry.Decommission, "c": registry.Activate} {
		_, err := f.act(id, act)
		f.ok(err)
	}
	sign(a, b, c)
	f.record(in)
	f.same([]string{f.reason(a.Serial), f.reason(b.Serial), f.reason(c.Serial)}, []string{"certificateHold", "cessationOfOperation", ""})
	f.state("b", registry.Decommissioned)
	f.state("c", registry.Active)
	_, err := f.act("a", registry.Resume)
	f.ok(err)
	f.same(f.reason(a.Serial), "")
}

func testDevices(f *fixture) {
	for n := range 6 {
		it := f.item(pki.DeviceID(fmt.Sprint("meter-", n)))
		it.Placement = pki.Placement{ProductLine: "meters", Lot: fmt.Sprint("lot-", n%2), Site: "north"}
		f.issue(it)
		again := f.item(it.Device)
		again.Placement = it.Placement
		f.issue(again)
	}
	f.plan(pki.Placement{ProductLine: "meters", Lot: "lot-1"}, "planned-1", "planned-2")
	f.plan(pki.Placement{ProductLine: "gateways"}, "planned-3")
	moved := f.item("meter-5")
	moved.Placement = pki.Placement{Lot: "lot-2"}
	f.issue(moved)
	for id, act := range map[pki.DeviceID]registry.Act{"meter-1": registry.Suspend, "meter-3": registry.Decommission, "planned-2": registry.Decommission} {
		_, err := f.act(id, act)
		f.ok(err)
	}
	place := func(line, lot string) pki.Placement { return pki.Placement{ProductLine: line, Lot: lot} }
	for _, test := range []struct {
		filter registry.DeviceFilter
		want   string
	}{
		{registry.DeviceFilter{}, "[meter-0 meter-1 meter-2 meter-3 meter-4 meter-5 planned-1 planned-2 planned-3]"},
		{registry.DeviceFilter{Prefix: "planned"}, "[planned-1 planned-2 planned-3]"},
		{registry.DeviceFilter{Prefix: "meter-1"}, "[meter-1]"},
		{registry.DeviceFilter{State: registry.Planned}, "[planned-1 planned-3]"},
		{registry.DeviceFilter{State: registry.Issued}, "[meter-0 meter-2 meter-4 meter-5]"},
		{registry.DeviceFilter{State: registry.Decommissioned}, "[meter-3 planned-2]"},
		{registry.DeviceFilter{Placement: place("", "lot-1")}, "[meter-3 planned-1 planned-2 meter-1]"},
		{registry.DeviceFilter{Placement: place("", "lot-1"), State: registry.Suspended}, "[meter-1]"},
		{registry.DeviceFilter{Placement: place("", "lot-2")}, "[meter-5]"},
		{registry.DeviceFilter{Placement: place("meters", ""), Prefix: "meter"}, "[meter-3 meter-0 meter-1 meter-2 meter-4 meter-5]"},
		{registry.DeviceFilter{Placement: place("gateways", "lot-1")}, "[]"},
		{registry.DeviceFilter{Placement: pki.Placement{Site: "north"}, State: registry.Suspended}, "[meter-1]"},
		{registry.DeviceFilter{Placement: place("", "nothing")}, "[]"},
	} {
		for _, limit := range []int{1, 2, 100} {
			f.same(fmt.Sprintf("%v %s", test.filter, f.found(acme, test.filter, limit)), fmt.Sprintf("%v %s", test.filter, test.want))
		}
		f.same(f.found(stranger, test.filter, 100), "[]")
	}
}

// found returns the ids of the devices that a search finds, page by page.
func (f *fixture) found(tenant pki.TenantID, filter registry.DeviceFilter, limit int) string {
	f.Helper()
	ids := []pki.DeviceID{}
	var after []byte
	for {
		devices, next, err := f.Devices(f.ctx, tenant, filter, after, limit)
		f.ok(err)
		for _, d := range devices {
			ids = append(ids, d.ID)
		}
		if next == nil {
			return fmt.Sprint(ids)
		}
		after = next
	}
}

// testAllMayEnrol says that one device that may not enrol is noticed at once.
func testAllMayEnrol(f *fixture) {
	ask := func(owner pki.TenantID) bool {
		f.Helper()
		all, err := f.AllMayEnrol(f.ctx, owner)
		f.ok(err)
		return all
	}
	f.same(ask(acme), true)
	f.issue(f.item("a"), f.item("b"))
	f.same(ask(acme), true)
	_, err := f.act("a", registry.Suspend)
	f.ok(err)
	f.same(ask(acme), false)
	f.same(ask(stranger), true)
	_, err = f.act("b", registry.Decommission)
	f.ok(err)
	f.same(ask(acme), false)
}
