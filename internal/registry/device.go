package registry

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A State is where a device is in its life.
type State string

// The states of a device.
const (
	Planned        State = "planned"        // known before its first certificate
	Issued         State = "issued"         // has had a certificate
	Active         State = "active"         // in the field
	Suspended      State = "suspended"      // its certificates are on hold, and it cannot enrol
	Returned       State = "returned"       // came back, for repair for instance
	Decommissioned State = "decommissioned" // for good: its certificates are revoked, and its id never enrols again
)

// States lists the states of a device.
func States() []State {
	return []State{Planned, Issued, Active, Suspended, Returned, Decommissioned}
}

// A Device is one device of its owner.
type Device struct {
	Owner pki.TenantID
	ID    pki.DeviceID
	pki.Placement
	State   State
	Resumes State // of a suspended one: what resume makes it again
	Created time.Time
	Updated time.Time
}

// An Act moves a device from one state to another.
type Act string

// The acts. Enrolment, which makes a planned device an issued one, is none.
const (
	Activate     Act = "activate"
	Suspend      Act = "suspend"
	Resume       Act = "resume"
	Return       Act = "return"
	Decommission Act = "decommission"
)

// Acts lists the acts.
func Acts() []Act { return []Act{Activate, Suspend, Resume, Return, Decommission} }

// moves says from which state an act leads where. Resume leads back to where
// suspend came from.
func moves(act Act) map[State]State {
	switch act {
	case Activate:
		return map[State]State{Issued: Active, Returned: Active}
	case Suspend:
		return map[State]State{Issued: Suspended, Active: Suspended, Returned: Suspended}
	case Return:
		return map[State]State{Issued: Returned, Active: Returned}
	case Decommission:
		return map[State]State{Planned: Decommissioned, Issued: Decommissioned, Active: Decommissioned,
			Suspended: Decommissioned, Returned: Decommissioned}
	}
	return nil
}

// After returns the state that the act leads to, or Conflict where the device's
// state does not allow it.
func (d *Device) After(act Act) (State, error) {
	to := moves(act)[d.State]
	if act == Resume && d.State == Suspended {
		to = d.Resumes
	}
	if to != "" {
		return to, nil
	}
	var from []string
	for _, s := range States() {
		if moves(act)[s] != "" || act == Resume && s == Suspended {
			from = append(from, string(s))
		}
	}
	return "", pki.Errorf(pki.Conflict, "the device is %s: %s is for one that is %s", d.State, act, strings.Join(from, ", "))
}

// A DeviceChange is an act on a device, on its way into the store.
type DeviceChange struct {
	Owner pki.TenantID
	ID    pki.DeviceID
	Act   Act
	Note  string // why, for the event; at most MaxDescription bytes
	Event pki.Event
}

// ChangeDevice carries an act out. Suspend puts the device's certificates on
// hold, resume releases those that suspend held, and decommission revokes them
// with the reason cessationOfOperation: state, entries and events are one
// transaction. It needs access.ManageDevices.
func (s *Service) ChangeDevice(ctx context.Context, g access.Permit, id pki.DeviceID, act Act, note string) (*Device, error) {
	if err := g.CheckSome(access.ManageDevices); err != nil {
		return nil, err
	}
	if err := checkDescription(note); err != nil {
		return nil, err
	}
	if !g.Whole() {
		if _, err := s.within(ctx, g, access.ManageDevices, id); err != nil {
			return nil, err
		}
	}
	// Also after an error: it may mean that the outcome is unknown.
	defer s.cfg.Revoked()
	d, err := s.cfg.Store.ChangeDevice(ctx, DeviceChange{Owner: g.Tenant(), ID: id, Act: act, Note: note,
		Event: s.event(g, "device."+string(act), "device:"+string(id), "")})
	if err == nil {
		s.stats.Acts[act].Add(1)
	}
	return d, err
}

// Device returns a device. It needs access.ReadRegistry.
func (s *Service) Device(ctx context.Context, g access.Permit, id pki.DeviceID) (*Device, error) {
	return s.within(ctx, g, access.ReadRegistry, id)
}

// Where returns the place of a device, for the RA, and whether there is one of the id.
func (s *Service) Where(ctx context.Context, owner pki.TenantID, id pki.DeviceID) (pki.Placement, bool, error) {
	d, err := s.cfg.Store.Device(ctx, owner, id)
	switch {
	case pki.KindOf(err) == pki.NotFound:
		return pki.Placement{}, false, nil
	case err != nil:
		return pki.Placement{}, false, err
	}
	return d.Placement, true, nil
}

// within returns a device that is within a permit.
func (s *Service) within(ctx context.Context, g access.Permit, permission access.Permission, id pki.DeviceID) (*Device, error) {
	if err := g.CheckSome(permission); err != nil {
		return nil, err
	}
	d, err := s.cfg.Store.Device(ctx, g.Tenant(), id)
	if err != nil {
		return nil, err
	}
	if err := g.CheckAt(permission, whereIs(d.Placement)); err != nil {
		return nil, err
	}
	return d, nil
}

// whereIs returns where something with a placement is.
func whereIs(p pki.Placement) access.Scope {
	return access.Scope{ProductLine: p.ProductLine, Site: p.Site}
}

// Admit refuses, as PolicyRefused, a device that may not enrol. A change after it
// is caught when the certificate is recorded, which puts it on hold or revokes it
// in the same transaction.
func (s *Service) Admit(ctx context.Context, owner pki.TenantID, id pki.DeviceID) error {
	if id == "" {
		return nil
	}
	all, err := s.cfg.Store.AllMayEnrol(ctx, owner)
	if err != nil || all {
		return err
	}
	state, err := s.cfg.Store.DeviceState(ctx, owner, id)
	switch {
	case err != nil:
		return err
	case state == Suspended:
		return pki.Errorf(pki.PolicyRefused, "the device %q is suspended: it can enrol when it is resumed", id)
	case state == Decommissioned:
		return pki.Errorf(pki.PolicyRefused, "the device %q is decommissioned: its id can never enrol again", id)
	}
	return nil
}

// A DeviceFilter says which devices are wanted; what is empty is any.
type DeviceFilter struct {
	Prefix string // of the id
	State  State
	pki.Placement
}

// A FoundDevice is a device that a search found.
type FoundDevice struct {
	*Device
	Cursor   string // goes on after this one
	Position []byte // set by the store
}

// Devices returns a page of the tenant's devices. A lot or a product line leads
// the search, else a state other than issued, else the id; what is left is looked
// at row by row, so that a page of many rows that do not fit ends early, with
// fewer items and a Next. It needs access.ReadRegistry: who has it on a part of the
// tenant names that part.
func (s *Service) Devices(ctx context.Context, g access.Permit, f DeviceFilter, p Paging) (Page[*FoundDevice], error) {
	var none Page[*FoundDevice]
	if err := g.CheckAt(access.ReadRegistry, whereIs(f.Placement)); err != nil {
		return none, err
	}
	known := f.State == ""
	for _, state := range States() {
		known = known || f.State == state
	}
	if !known {
		return none, pki.Errorf(pki.Malformed, "state %.20q: it is one of %v", f.State, States())
	}
	l := s.list(g.Tenant(), fmt.Sprintf("devices %q", f))
	page, err := search(l, p, func(after []byte) ([]*FoundDevice, []byte, error) {
		return s.cfg.Store.Devices(ctx, g.Tenant(), f, after, p.Limit)
	})
	for _, d := range page.Items {
		d.Cursor = l.cursor(d.Position)
	}
	return page, err
}
