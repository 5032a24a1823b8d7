import { Controller, Get, ServiceUnavailableException } from '@nestjs/common';
import { LeveretHealthIndicator } from 'leveret/nestjs';

/** With `@nestjs/terminus`: `this.health.check([() => this.leveret.isReady()])`. */
@Controller('health')
export class HealthController {
  constructor(private readonly leveret: LeveretHealthIndicator) {}

  @Get('ready')
  async ready() {
    const result = await this.leveret.isReady();
    if (result.leveret.status === 'down') throw new ServiceUnavailableException(result);
    return result;
  }

  @Get('alive')
  async alive() {
    const result = await this.leveret.isAlive();
    if (result.leveret.status === 'down') throw new ServiceUnavailableException(result);
    return result;
  }
}
