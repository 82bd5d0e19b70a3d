package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
)

// lend has acme lend its authority with a profile to the partner.
func (f *fixture) lend(name, profile string, limit int64) {
	f.Helper()
	f.lendFrom(f.authority, name, profile, limit)
}

func (f *fixture) lendFrom(a *pki.Authority, name, profile string, limit int64) {
	f.Helper()
	l := f.loanOf(name, profile, limit)
	l.Authority, l.AuthorityName = a.ID, a.Name
	f.ok(f.PutLoan(f.ctx, l, f.limitOf(name), f.event(acme, "child.lend")))
}

// limitOf returns the limit of a loan to the partner, 0 where there is none of the name.
func (f *fixture) limitOf(name string) int64 {
	f.Helper()
	all, err := f.Loans(f.ctx, partner)
	f.ok(err)
	for _, l := range all {
		if l.Name == name {
			return l.Limit
		}
	}
	return 0
}

func (f *fixture) loanOf(name, profile string, limit int64) *pki.Loan {
	return &pki.Loan{Parent: acme, Child: partner, Name: name, Authority: f.authority.ID, AuthorityName: f.authority.Name, Profile: profile, Version: 1, Limit: limit, Created: f.now}
}

// borrow makes items the partner's, to which acme lends as much as anybody needs.
func (f *fixture) borrow(items ...*issuance.Item) {
	f.Helper()
	if !f.lending {
		f.lend("meters", f.profile.Name, 1_000_000)
		f.lending = true
	}
	for _, it := range items {
		it.Owner = partner
	}
}

// borrowed is an item that somebody of the partner's asked for.
func (f *fixture) borrowed(device pki.DeviceID) *issuance.Item {
	it := f.asked(device)
	it.Owner = partner
	return it
}

// testChildren: a child is its parent's alone, has no children, and is suspended and
// resumed with events in both logs.
func testChildren(f *fixture) {
	children, err := f.Children(f.ctx, acme)
	f.ok(err)
	f.same(len(children), 1)
	f.same(children[0].ID, partner)
	for _, other := range []pki.TenantID{stranger, partner, ""} {
		none, err := f.Children(f.ctx, other)
		f.ok(err)
		f.same(len(none), 0)
		f.is(pki.NotFound, f.SuspendChild(f.ctx, other, partner, true, f.event(acme, "child.suspend")))
	}
	parent, err := f.Parent(f.ctx, partner)
	f.ok(err)
	f.same(parent, acme)
	_, err = f.Parent(f.ctx, "nobody")
	f.is(pki.NotFound, err)
	f.is(pki.Conflict, f.PutTenant(f.ctx, &pki.Tenant{ID: "grandchild", Parent: partner}, f.event(partner, "child.create")))
	f.is(pki.NotFound, f.PutTenant(f.ctx, &pki.Tenant{ID: "orphan", Parent: "nobody"}, f.event(acme, "child.create")))

	// A name that begins with another tenant's is that one's to give.
	f.ok(f.PutTenant(f.ctx, &pki.Tenant{ID: "acme-eu", Organization: "Europe"}, f.event("acme-eu", "tenant.create")))
	f.is(pki.Conflict, f.PutTenant(f.ctx, &pki.Tenant{ID: "acme-eu-1", Parent: acme}, f.event(acme, "child.create")))
	f.ok(f.PutTenant(f.ctx, &pki.Tenant{ID: "acme-eu-1", Parent: "acme-eu"}, f.event("acme-eu", "child.create")))

	one, none := 1, 0
	for may, want := range map[*int]pki.Kind{&one: pki.Conflict, &none: pki.Conflict, nil: 0} { // it has one
		f.ok(f.SetTenant(f.ctx, acme, pki.TenantSettings{Children: may}, f.event(acme, "tenant.set")))
		err := f.PutTenant(f.ctx, &pki.Tenant{ID: "acme-second", Parent: acme}, f.event(acme, "child.create"))
		if want == 0 {
			f.ok(err)
		} else {
			f.is(want, err)
		}
	}

	f.borrow()
	before := f.borrowed("b-1")
	in := f.intent(before)
	f.intend(in)
	f.ok(f.SuspendChild(f.ctx, acme, partner, true, f.event(acme, "child.suspend")))
	f.is(pki.Conflict, f.SuspendChild(f.ctx, acme, partner, true, f.event(acme, "child.suspend")))
	f.same([]string{f.actions(acme)[0], f.actions(partner)[0]}, []string{"child.suspend", "child.suspend"})
	events, _, err := f.Events(f.ctx, partner, hierarchy.EventFilter{}, "", 1)
	f.ok(err)
	f.same(events[0].Actor, "tenant:acme")
	late, ours := f.borrowed("b-2"), f.asked("a-1")
	f.intend(f.intent(late, ours))
	f.is(pki.Forbidden, late.Refused)
	f.ok(ours.Refused)
	sign(before) // what was intended is recorded
	f.record(in)
	f.reopen()
	again := f.borrowed("b-3")
	f.intend(f.intent(again))
	f.is(pki.Forbidden, again.Refused)
	f.ok(f.SuspendChild(f.ctx, acme, partner, false, f.event(acme, "child.resume")))
	f.issue(f.borrowed("b-2"))
}

// testLoans: what is lent bounds what is issued to the child, exactly, and nothing is
// once it is taken back.
func testLoans(f *fixture) {
	f.lend("meters", f.profile.Name, 2)
	f.is(pki.Conflict, f.PutLoan(f.ctx, f.loanOf("other", f.profile.Name, 5), 0, f.event(acme, "child.lend")))
	f.is(pki.Conflict, f.PutLoan(f.ctx, f.loanOf("meters", "gateway", 5), 2, f.event(acme, "child.lend")))
	foreign := f.loanOf("stolen", "gateway", 5)
	foreign.Parent = stranger
	f.is(pki.NotFound, f.PutLoan(f.ctx, foreign, 0, f.event(stranger, "child.lend")))
	f.countQuotas(10)
	loans, err := f.Loans(f.ctx, partner)
	f.ok(err)
	want := f.loanOf("meters", f.profile.Name, 2)
	f.same(loans, []*pki.Loan{want})
	for _, other := range []pki.TenantID{acme, stranger} {
		none, err := f.Loans(f.ctx, other)
		f.ok(err)
		f.same(len(none), 0)
	}
	// Whoever lends counts nothing against its own quotas.
	f.setQuota(quota.Target{Kind: quota.Tenant}, 1)
	f.countQuotas(10)
	f.issue(f.borrowed("b-1"), f.borrowed("b-2"))
	full, other := f.borrowed("b-3"), f.borrowed("b-4")
	other.Profile.Name = "gateway"
	in := f.intent(full, other, f.asked("a-1"))
	f.intend(in)
	f.is(pki.QuotaExceeded, full.Refused)
	f.says(full.Refused, "the loan meters, 2 certificates, is used up")
	f.is(pki.Forbidden, other.Refused)
	f.same(f.used(), map[string]int64{"tenant": 1})
	loan := func() *quota.Quota {
		f.Helper()
		all, err := f.Quotas(f.ctx, partner)
		f.ok(err)
		f.same(len(all), 1)
		held, err := f.QuotaHeld(f.ctx, all[0])
		f.ok(err)
		f.same(held, all[0].Used)
		return all[0]
	}
	sign(in.Items[2])
	f.record(in)
	f.same(loan().Used, int64(2))
	f.later(time.Second)
	e := f.event(partner, "device.decommission")
	e.Target = "device:b-1"
	_, err = f.ChangeDevice(f.ctx, registry.DeviceChange{Owner: partner, ID: "b-1", Act: registry.Decommission, Event: e})
	f.ok(err)
	f.same(loan().Used, int64(2)) // a loan is for what is issued, once and for all

	gone := f.borrowed("b-7") // to a device that is decommissioned before the record
	f.lend("meters", f.profile.Name, 3)
	racing := f.intent(gone)
	f.intend(racing)
	f.ok(gone.Refused)
	void := f.intent(f.borrowed("b-8"))
	f.intend(void)
	f.is(pki.QuotaExceeded, void.Items[0].Refused)
	f.record(racing) // it comes to nothing, which frees what it took
	f.same(loan().Used, int64(2))

	newer := f.loanOf("meters", f.profile.Name, 3)
	newer.Version = 4
	f.ok(f.PutLoan(f.ctx, newer, 3, f.event(acme, "child.lend")))
	f.lend("meters", f.profile.Name, 3) // as of an earlier version
	loans, err = f.Loans(f.ctx, partner)
	f.ok(err)
	f.same(loans[0].Version, 4)

	for _, before := range []int64{0, 2, 4} { // it is another by now than it was
		f.is(pki.Conflict, f.PutLoan(f.ctx, newer, before, f.event(acme, "child.lend")))
	}

	open := f.intent(f.borrowed("b-5"))
	f.intend(open)
	f.is(pki.NotFound, f.TakeBack(f.ctx, stranger, partner, "meters", f.event(stranger, "child.take-back")))
	f.is(pki.NotFound, f.TakeBack(f.ctx, partner, partner, "meters", f.event(partner, "child.take-back")))
	f.ok(f.TakeBack(f.ctx, acme, partner, "meters", f.event(acme, "child.take-back")))
	f.same([]string{f.actions(acme)[0], f.actions(partner)[0]}, []string{"child.take-back", "child.take-back"})
	f.is(pki.Conflict, f.PutLoan(f.ctx, newer, 3, f.event(acme, "child.lend"))) // it is gone by now
	late := f.borrowed("b-6")
	f.intend(f.intent(late))
	f.is(pki.Forbidden, late.Refused)
	sign(open.Items...)
	f.record(open)

	// Lent again, it counts what there is.
	f.lend("again", f.profile.Name, 3)
	f.countQuotas(1)
	f.same([]any{loan().Used, loan().Counting}, []any{int64(3), false})
}
