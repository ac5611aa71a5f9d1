internal import Verification

extension World {
    /// From a platform to a node, or back.
    func platformDelay(_ attempt: Int) -> UInt64 {
        WorldPlan.millisecond + platforms[attempt].below(40 * WorldPlan.millisecond)
    }

    /// A platform sends a post of the plan, to the planned node or, when it comes again, to any.
    func post(_ attempt: Int, _ post: Int, tries: Int) {
        let planned = plan.attempts[attempt].posts[post]
        let node = tries == 0 ? planned.node : platforms[attempt].below(hosts.count)
        let number = nextRequest
        nextRequest += 1
        requests[number] = Request(
            attempt: attempt,
            post: post,
            tries: tries,
            node: node,
            secret: secret
        )
        if tries > 0 { statistics.retries += 1 }
        trace.fold(number)
        trace.note(
            now,
            "platform → n\(node + 1)  \(plan.attempts[attempt].id) \(describe(planned.post))"
                + (tries == 0 ? "" : ", try \(tries + 1)")
        )
        queue.schedule(.request(number), at: now + platformDelay(attempt))
        queue.schedule(.giveUp(number), at: now + planned.timeout)
    }

    func replied(_ number: UInt64, _ reply: Reply) {
        guard let request = requests[number] else { return }
        requests[number] = nil
        guard !request.isOver else { return }
        let planned = plan.attempts[request.attempt].posts[request.post]
        switch reply {
        case .late, .takenIn, .decided, .polled, .opened, .attempt, .local,
            .refused(.openedDifferently(_)), .refused(.detailsRemoved), .refused(.tooOld):
            if planned.isStubborn { unanswered -= 1 }
        case .notFound:
            // It may have overtaken the open.
            if plan.attempts[request.attempt].isOpened, planned.isStubborn {
                again(request, planned)
            } else if planned.isStubborn {
                unanswered -= 1
            }
        case .refused, .forbidden, .unavailable, .noConnection: again(request, planned)
        }
    }

    func gaveUp(_ number: UInt64) {
        guard let request = requests[number], !request.isOver else { return }
        requests[number]?.isOver = true
        again(request, plan.attempts[request.attempt].posts[request.post])
    }

    private func again(_ request: Request, _ planned: PlannedPost) {
        guard planned.isStubborn || request.tries < planned.retries else { return }
        let attempt = request.attempt
        let backoff = UInt64(min(request.tries + 1, 6)) * 200 * WorldPlan.millisecond
        let delay = backoff + platforms[attempt].below(backoff)
        queue.schedule(
            .post(attempt: attempt, post: request.post, tries: request.tries + 1),
            at: now + delay
        )
    }
}
