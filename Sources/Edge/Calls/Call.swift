import NIOCore
import NIOHTTP1
import RPC
import ServiceKit

/// A request that found its route.
struct Call: Sendable {
  let route: Route
  /// Values of the path's variables, decoded.
  let variables: [String]
  let target: RequestTarget
  let head: HTTPRequestHead
  let requestID: String
  var metadata: Metadata
  /// Of the caller, all that an answer may depend on; see `ReadKey`.
  var audience = ""
  /// Says how the budgets stand that the call is counted in.
  var limitFields: [(name: String, value: String)] = []

  /// The call as the one who may make it.
  func admitted(by pass: Gatekeeper.Pass) -> Call {
    var call = self
    call.metadata.add(Principal.metadataKey, pass.principal)
    if !pass.address.isEmpty { call.metadata.add("mainstreet-client-address", pass.address) }
    if !route.isPublic { call.audience = pass.audience }
    call.limitFields = RateLimitFields.fields(pass.budgets)
    return call
  }

  /// The request message: path variables, query parameters and body in one.
  ///
  /// - Throws: what is wrong with them, all at once as far as possible.
  func requestMessage(_ body: ByteBuffer) throws(Problem) -> ByteBuffer {
    var wire = ByteBuffer()
    wire.reserveCapacity(body.readableBytes + 128)
    var transcoder = JSONToWire(into: wire)
    wire = ByteBuffer()
    var bound = JSONToWire.BoundFields()
    for (index, value) in zip(route.variables, variables) {
      let start = transcoder.out.writerIndex
      transcoder.text(value, of: route.request.fields[index])
      _ = bound.seen.insert(index)
      bound.path.append((index, start..<transcoder.out.writerIndex))
    }
    if !target.query.isEmpty { try writeQuery(&transcoder, &bound) }
    try writeBody(body, &transcoder, &bound)
    transcoder.finish(route.request, seen: bound.seen)
    guard transcoder.violations.isEmpty else {
      var problem = Problem(400, "VALIDATION_FAILED", Self.summary(of: transcoder.violations))
      problem.errors = transcoder.violations
      throw problem
    }
    return transcoder.out
  }

  private func writeBody(
    _ body: ByteBuffer, _ transcoder: inout JSONToWire, _ bound: inout JSONToWire.BoundFields
  ) throws(Problem) {
    if body.readableBytes == 0 {
      if case .field = route.body { throw Problem(400, "BODY_REQUIRED", "This route needs a JSON body.") }
      return
    }
    let error = body.withUnsafeReadableBytes { text -> JSONSyntaxError? in
      do throws(JSONSyntaxError) {
        switch route.body {
        case .message: try transcoder.message(text, as: route.request, bound: &bound)
        case .field(let index): try transcoder.value(text, of: index, in: route.request, bound: &bound)
        case .none, .raw: break
        }
        return nil
      } catch {
        return error
      }
    }
    if let error { throw Problem(error, in: body) }
    if case .none = route.body { throw Problem(400, "UNEXPECTED_BODY", "This route takes no body.") }
  }

  private func writeQuery(
    _ transcoder: inout JSONToWire, _ bound: inout JSONToWire.BoundFields
  ) throws(Problem) {
    var counts: [Int: Int] = [:]
    for pair in target.query.split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = try Self.decode(parts[0])
      let value = parts.count == 2 ? try Self.decode(parts[1]) : ""
      let pointer = "/" + JSONPath.escaped(name)
      guard let index = parameter(named: name, bound) else {
        transcoder.note(
          InputViolation(
            pointer: pointer, code: "UNKNOWN_PARAMETER", message: "is not a parameter of this route"))
        continue
      }
      let field = route.request.fields[index]
      counts[index, default: 0] += 1
      if counts[index] != 1, field.shape != .repeated {
        transcoder.note(
          InputViolation(pointer: pointer, code: "DUPLICATE_PARAMETER", message: "is given twice"))
      } else {
        transcoder.text(value, of: field)
        _ = bound.seen.insert(index)
      }
    }
    for (index, count) in counts { transcoder.endList(of: route.request.fields[index], count: count) }
  }

  /// What neither the path nor the body holds may come in the query.
  private func parameter(named name: String, _ bound: JSONToWire.BoundFields) -> Int? {
    guard let index = route.request.field(named: name), route.request.fields[index].isText,
      !bound.path.contains(where: { $0.index == index })
    else { return nil }
    switch route.body {
    case .none: return index
    case .field(let body): return body == index ? nil : index
    case .message, .raw: return nil
    }
  }

  private static func decode(_ text: Substring) throws(Problem) -> String {
    switch PercentDecoding.decode(text, plusIsSpace: true) {
    case .success(let decoded): return decoded
    case .failure(let error): throw Problem(400, "MALFORMED_QUERY", error.description)
    }
  }

  private static func summary(of violations: [InputViolation]) -> String {
    guard let first = violations.first else { return "" }
    let subject = first.pointer.isEmpty ? "The body" : first.pointer
    let rest = violations.count - 1
    return "\(subject) \(first.message)" + (rest == 0 ? "." : ", and \(rest) more.")
  }
}

extension Problem {
  fileprivate init(_ error: JSONSyntaxError, in body: ByteBuffer) {
    let message = error.message(in: body.readableBytesView)
    self.init(400, error.code, "The body is not JSON: \(message).")
    errors = [InputViolation(pointer: "", code: error.code, message: message)]
  }
}
