package engine

// ReasonOK is the zero Reason.
const ReasonOK Reason = 0
