package status

import (
	"time"

	"github.com/gcnode/gcnode/discovery"
)

// Discovery is where the list of members comes from, and how that goes.
type Discovery struct {
	Source string `json:"source"`
	// Members is the length of the list.
	Members int `json:"members"`
	// Changes counts the lists that were taken over, and ChangedAt is when the
	// last one was; nil: none yet.
	Changes   uint64     `json:"changes"`
	ChangedAt *time.Time `json:"changed_at"`
	// AnsweredAt is when the source last gave a list that is fit for use.
	AnsweredAt *time.Time `json:"answered_at"`
	// Errors counts what could not be used, the last of them at FailedAt.
	// Error is empty when the last answer could.
	Errors   uint64     `json:"errors"`
	FailedAt *time.Time `json:"failed_at"`
	Error    string     `json:"error"`
	// Losses counts the lists that lost more than half of the members.
	Losses uint64 `json:"losses"`
	// Waiting is the length of a list that is not taken over yet, and
	// WaitingSince when it came first; HeldBack: because it loses more than
	// half of the members.
	Waiting      int        `json:"waiting"`
	WaitingSince *time.Time `json:"waiting_since"`
	HeldBack     bool       `json:"held_back"`
}

// discoveryOf translates the state of a source.
func discoveryOf(st discovery.Status) *Discovery {
	d := &Discovery{
		Source:       st.Source,
		Members:      st.Members,
		Changes:      st.Changes,
		ChangedAt:    Moment(st.Changed),
		AnsweredAt:   Moment(st.Answered),
		Errors:       st.Errors,
		FailedAt:     Moment(st.Failed),
		Losses:       st.Losses,
		Waiting:      st.Waiting,
		WaitingSince: Moment(st.Since),
		HeldBack:     st.Held,
	}
	if st.Err != nil {
		d.Error = st.Err.Error()
	}
	return d
}

// Moment is nil for no time.
func Moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
