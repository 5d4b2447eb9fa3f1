import Metrics
import NIOCore
import RPC
import Schema

/// One binding of an rpc to a method and path, with everything a call needs compiled at start.
final class Route: Sendable {
  /// How a request's JSON becomes the request message.
  enum Body: Sendable {
    case none
    /// The document is the message.
    case message
    /// The document is the value of this field.
    case field(Int)
    /// The bytes are the message: a streamed `google.api.HttpBody`.
    case raw
  }

  /// How the response message becomes the answer.
  enum Answer: Sendable {
    /// `google.protobuf.Empty`: 204, nothing.
    case nothing
    case message
    /// The value of this field.
    case field(Int)
    /// A streamed `google.api.HttpBody`.
    case raw
  }

  /// As in the proto, e.g. `/stores/{store_id}`: what logs and metrics call it.
  let template: String
  let httpMethod: String
  let rpc: ClientMethod
  let request: MessageTable
  let response: MessageTable
  let body: Body
  let answer: Answer
  /// Indices of the request fields that the path's variables fill, in order.
  let variables: [Int]
  let successStatus: Int
  /// Name of the rpc, e.g. `CreateStore`.
  let name: String
  let access: Access
  /// Identity is told where calls come from.
  let isOfIdentity: Bool
  let rateClass: MethodAccess.RateClass?
  let idempotencyKey: MethodAccess.IdempotencyKey
  /// Nil for what is always asked of its service.
  let caching: ReadPolicy?
  /// Open to everyone, so that an answer is nobody's own.
  let isPublic: Bool
  let client: RPCClient
  let metrics: RouteMetrics

  init(
    _ route: HTTPRoute, of method: MethodDescriptor, access: MethodAccess, client: RPCClient,
    metrics: any MetricsFactory, compiler: inout TableCompiler
  ) throws(SchemaError) {
    template = route.template.source
    httpMethod = route.method
    self.metrics = RouteMetrics(route: template, method: httpMethod, factory: metrics)
    rpc = client.method(method.path, isIdempotent: access.isIdempotent)
    self.client = client
    let request = try compiler.message(method.inputType)
    let response = try compiler.message(method.outputType)
    self.request = request
    self.response = response
    successStatus = access.successStatus
    name = method.name
    self.access =
      switch access.audience {
      case .public: .public
      case .roles(let roles, let scopes): .roles(roles, scopes: scopes)
      }
    isOfIdentity = method.path.hasPrefix("/mainstreet.identity.")
    rateClass = access.rateClass
    idempotencyKey = access.idempotencyKey
    caching = access.caching.map {
      ReadPolicy(fresh: .seconds(Int64($0.freshSeconds)), stale: .seconds(Int64($0.staleSeconds)))
    }
    isPublic = access.audience == .public

    if method.isClientStreaming {
      guard method.inputType == Self.httpBody, !method.isServerStreaming, route.body == .whole else {
        throw SchemaError("\(method.path): a route may stream in only google.api.HttpBody, with body \"*\"")
      }
      body = .raw
    } else {
      switch route.body {
      case .none: body = .none
      case .whole: body = .message
      case .field(let name): body = .field(try Self.index(name, in: request, of: method))
      }
    }
    if method.isServerStreaming {
      guard method.outputType == Self.httpBody else {
        throw SchemaError("\(method.path): a route may stream out only google.api.HttpBody")
      }
      answer = .raw
    } else if method.outputType == "google.protobuf.Empty" {
      answer = .nothing
    } else if let name = route.responseBody {
      answer = .field(try Self.index(name, in: response, of: method))
    } else {
      answer = .message
    }
    var variables: [Int] = []
    for path in route.template.variables {
      guard path.count == 1 else {
        throw SchemaError(
          "\(method.path): {\(path.joined(separator: "."))} must name a field of the request itself")
      }
      let index = try Self.index(path[0], in: request, of: method)
      guard request.fields[index].isText else {
        throw SchemaError("\(method.path): {\(path[0])} must be a scalar")
      }
      variables.append(index)
    }
    self.variables = variables
  }

  private static let httpBody = "google.api.HttpBody"

  private static func index(
    _ name: String, in table: MessageTable, of method: MethodDescriptor
  ) throws(SchemaError) -> Int {
    guard let index = table.field(named: name) else {
      throw SchemaError("\(method.path): \(table.name) has no field \(name)")
    }
    return index
  }
}

extension FieldTable {
  /// Whether a path variable or query parameter can hold one value of it.
  var isText: Bool {
    switch kind {
    case .message, .jsonObject: false
    default: shape != .map
    }
  }
}
