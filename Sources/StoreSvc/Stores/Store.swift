import RPC

/// Why something about a store cannot be done.
enum StoreError: Error, Hashable {
  case notFound(String)
  case externalIDTaken(String)
  case unknownTimezone(String)
  case badCursor

  var rpcError: RPCError {
    switch self {
    case .notFound(let id):
      RPCError(.notFound, "there is no store \(id)", reason: "STORE_NOT_FOUND", details: ["storeId": id])
    case .externalIDTaken(let externalID):
      RPCError(
        .alreadyExists, "another store has the external id \"\(externalID)\"",
        reason: "STORE_EXTERNAL_ID_TAKEN", details: ["externalId": externalID])
    case .unknownTimezone(let name):
      RPCError(
        .invalidArgument, "\"\(name)\" is not a zone of the IANA database", reason: "UNKNOWN_TIMEZONE",
        violations: [
          FieldViolation(
            field: "timezone", code: "UNKNOWN_TIMEZONE", message: "must be a zone of the IANA database")
        ])
    case .badCursor:
      RPCError(
        .invalidArgument, "the cursor is not one this service gave", reason: "INVALID_CURSOR",
        violations: [
          FieldViolation(field: "cursor", code: "INVALID_CURSOR", message: "must be a nextCursor, unchanged")
        ])
    }
  }
}
