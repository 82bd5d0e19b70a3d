package client

import "time"

// A Place is a product line or a site.
type Place struct {
	Name        string    `json:"name" example:"residential-meter"`
	Description string    `json:"description,omitempty"`
	By          string    `json:"by,omitempty" doc:"Who registered it; absent where its first use did."`
	Created     time.Time `json:"created,omitzero"`
}

// NewPlace is a product line or a site to register.
type NewPlace struct {
	Name        string `json:"name" minLength:"1" maxLength:"128" doc:"Printable ASCII, without a space at either end." example:"residential-meter"`
	Description string `json:"description,omitempty" maxLength:"400" doc:"One line, for people."`
}

// PlaceChange is what is said of a product line or a site from now on.
type PlaceChange struct {
	Description string `json:"description" maxLength:"400" doc:"One line, for people."`
}

// A Lot is devices that are made together.
type Lot struct {
	Name        string    `json:"name" example:"lot-7"`
	ProductLine string    `json:"product_line,omitempty"`
	Site        string    `json:"site,omitempty"`
	Ordered     int64     `json:"ordered,omitzero" doc:"How many devices were ordered; absent where it was not said."`
	State       string    `json:"state" enum:"open,closed" doc:"In a closed lot nothing is enrolled any more."`
	By          string    `json:"by,omitempty" doc:"Who registered it; absent where its first use did."`
	Created     time.Time `json:"created,omitzero"`
	Closed      time.Time `json:"closed,omitzero"`
}

// NewLot is a lot to register.
type NewLot struct {
	Name        string `json:"name" minLength:"1" maxLength:"128" doc:"Printable ASCII, without a space at either end." example:"lot-7"`
	ProductLine string `json:"product_line,omitempty" maxLength:"128"`
	Site        string `json:"site,omitempty" maxLength:"128"`
	Ordered     int64  `json:"ordered,omitzero" minimum:"0" maximum:"1000000000" doc:"How many devices are ordered."`
}

// LotChange is what to change of a lot; what is absent stays as it is.
type LotChange struct {
	ProductLine *string `json:"product_line,omitempty" maxLength:"128"`
	Site        *string `json:"site,omitempty" maxLength:"128"`
	Ordered     *int64  `json:"ordered,omitempty" minimum:"0" maximum:"1000000000"`
}

// Registry says how the registry takes new names.
type Registry struct {
	Strict bool `json:"strict" doc:"Product lines, lots and sites must be registered before they are named; otherwise their first use registers them."`
}
